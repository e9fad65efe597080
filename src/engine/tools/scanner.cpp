#include "engine/tools/scanner.h"

#include <algorithm>

#include "support/json.h"

namespace verge::engine::tools {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

size_t skip_space(std::string_view text, size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

size_t begun(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(text.size(), mark.empty() ? 0 : mark.size() - 1); n > 0; --n)
    if (text.ends_with(mark.substr(0, n))) return n;
  return 0;
}

size_t begun(std::string_view text, std::span<const std::string> marks) {
  size_t most = 0;
  for (const std::string& mark : marks) most = std::max(most, begun(text, mark));
  return most;
}

std::string literal(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("\\^$.|?*+()[]{}/").find(c) != std::string_view::npos) out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out;
}

std::string quoted_json(std::string_view text) { return json::serialize(json::value(text)); }

size_t JsonExtent::take(std::string_view text) {
  size_t i = 0;
  for (; i < text.size() && !done_; ++i) {
    const char c = text[i];
    if (!begun_) {
      if (is_space(c)) continue;
      begun_ = true;
      bare_ = c != '{' && c != '[' && c != '"';
    }
    if (bare_) {
      if (c != ',' && c != '}' && c != ']' && c != '<' && !is_space(c)) continue;
      done_ = true;
      return i;
    }
    if (in_string_) {
      if (escaped_) escaped_ = false;
      else if (c == '\\') escaped_ = true;
      else if (c == '"') in_string_ = false, done_ = depth_ == 0;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      done_ = --depth_ <= 0;
    }
  }
  return i;
}

void Scanner::push(std::string_view text, std::vector<Delta>& out) {
  buffer_ += text;
  out_ = &out;
  while (step(false)) {}
}

void Scanner::finish(std::vector<Delta>& out) {
  out_ = &out;
  while (step(true)) {}
  if (!space_.empty() && !after_call_)
    out.push_back({Delta::Kind::Text, 0, "", std::exchange(space_, {})});
}

void Scanner::say(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && is_space(text[end - 1])) --end;
  if (end == 0) {
    if (!after_call_) space_ += text;
    return;
  }
  size_t begin = 0;
  if (after_call_) begin = skip_space(text);
  std::string piece = std::exchange(space_, {});
  piece += text.substr(begin, end - begin);
  space_ = text.substr(end);
  said_ = true;
  after_call_ = false;
  if (!out_->empty() && out_->back().kind == Delta::Kind::Text) out_->back().text += piece;
  else out_->push_back({Delta::Kind::Text, 0, "", std::move(piece)});
}

void Scanner::begin_call(std::string_view name) {
  space_.clear();
  said_ = after_call_ = true;
  out_->push_back({Delta::Kind::Call, calls_++, std::string(name), ""});
}

void Scanner::arguments(std::string_view piece) {
  if (piece.empty() || calls_ == 0) return;
  Delta* last = out_->empty() ? nullptr : &out_->back();
  if (last && last->kind == Delta::Kind::Arguments && last->index == calls_ - 1)
    last->text += piece;
  else out_->push_back({Delta::Kind::Arguments, calls_ - 1, "", std::string(piece)});
}

int Scanner::say_until(std::span<const std::string> marks, bool end) {
  size_t first = std::string::npos;
  int which = -1;
  for (size_t i = 0; i < marks.size(); ++i) {
    const size_t at = buffer_.find(marks[i]);
    if (at < first || (at == first && at != std::string::npos &&
                       marks[i].size() > marks[static_cast<size_t>(which)].size()))
      first = at, which = static_cast<int>(i);
  }
  const size_t kept = end ? 0 : begun(buffer_, marks);
  if (which < 0) {
    say(std::string_view(buffer_).substr(0, buffer_.size() - kept));
    drop(buffer_.size() - kept);
    return -1;
  }
  say(std::string_view(buffer_).substr(0, first));
  drop(first + marks[static_cast<size_t>(which)].size());
  return which;
}

bool Scanner::drop_mark(std::string_view mark, bool end) {
  const size_t at = skip_space(buffer_);
  const std::string_view rest = std::string_view(buffer_).substr(at);
  if (rest.starts_with(mark)) {
    drop(at + mark.size());
    return true;
  }
  if (!end && mark.starts_with(rest)) return false;
  if (mark.starts_with(rest)) drop(buffer_.size());
  return true;
}

}  // namespace verge::engine::tools
