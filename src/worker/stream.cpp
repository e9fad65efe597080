#include "worker/stream.h"

#include <algorithm>
#include <cassert>

namespace verge::worker {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the character at the front of `s` as far as its bytes are right: `need` bytes of which
// `have` are there and valid. have == 0: the first byte can begin no character.
struct Char {
  int need = 0, have = 0;
};
Char front_char(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, 1};
  // Unicode 15, table 3-7: the second byte's range depends on the first (no overlong forms, no
  // surrogates, nothing above U+10FFFF).
  int need = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) need = 2;
  else if (lead >= 0xE0 && lead <= 0xEF) need = 3;
  else if (lead >= 0xF0 && lead <= 0xF4) need = 4;
  else return {1, 0};
  if (lead == 0xE0) low = 0xA0;
  else if (lead == 0xED) high = 0x9F;
  else if (lead == 0xF0) low = 0x90;
  else if (lead == 0xF4) high = 0x8F;
  int have = 1;
  while (have < need && static_cast<size_t>(have) < s.size() && byte(have) >= low && byte(have) <= high) {
    ++have;
    low = 0x80;
    high = 0xBF;
  }
  return {need, have};
}

}  // namespace

void take_complete_utf8(std::string& pending, std::string& out) {
  size_t at = 0;
  while (at < pending.size()) {
    const std::string_view rest = std::string_view(pending).substr(at);
    const Char c = front_char(rest);
    if (c.have == c.need) {
      out.append(rest.substr(0, static_cast<size_t>(c.need)));
      at += static_cast<size_t>(c.need);
      continue;
    }
    if (c.have > 0 && static_cast<size_t>(c.have) == rest.size()) break;
    out.append(kReplacement);
    at += static_cast<size_t>(std::max(c.have, 1));
  }
  pending.erase(0, at);
}

TextStream::TextStream(const engine::Tokenizer& tokenizer, std::vector<std::string> stop, bool starts_text,
                       std::vector<int32_t> shown)
    : tokenizer_(&tokenizer), stop_(std::move(stop)), shown_(std::move(shown)), at_start_(starts_text) {
  std::erase_if(stop_, [](const std::string& s) { return s.empty(); });
}

std::string TextStream::push(int32_t id) {
  if (stopped_) return {};
  if (std::find(shown_.begin(), shown_.end(), id) != shown_.end()) {
    bytes_ += tokenizer_->piece(id, true);
    leading_.clear();
    at_start_ = false;
  } else if (at_start_) {
    leading_.push_back(id);
    const std::string text = tokenizer_->decode(leading_);
    if (text.empty()) return {};
    bytes_ += text;
    leading_.clear();
    at_start_ = false;
  } else {
    bytes_ += tokenizer_->piece(id);
  }
  return release(false);
}

std::string TextStream::finish() {
  if (stopped_) return {};
  return release(true);
}

std::string TextStream::release(bool end) {
  take_complete_utf8(bytes_, held_);
  if (stop_.empty()) return std::exchange(held_, {});
  size_t found = std::string::npos;
  for (const std::string& stop : stop_) {
    const size_t at = held_.find(stop);
    if (at < found) found_ = stop;
    found = std::min(found, at);
  }
  if (found != std::string::npos) {
    stopped_ = true;
    held_.resize(found);
    bytes_.clear();
    return std::exchange(held_, {});
  }
  size_t keep = 0;  // longest end of held_ that begins a stop string
  if (!end)
    for (const std::string& stop : stop_)
      for (size_t n = std::min(held_.size(), stop.size() - 1); n > keep; --n)
        if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) {
          keep = n;
          break;
        }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace verge::worker
