#include "api/base64.h"

#include <array>
#include <cstdint>

namespace verge::api {
namespace {

constexpr int8_t kBad = -1, kBlank = -2, kPad = -3;

constexpr std::array<int8_t, 256> kValues = [] {
  std::array<int8_t, 256> values{};
  values.fill(kBad);
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  values['-'] = 62;
  values['_'] = 63;
  values['='] = kPad;
  for (char c : {' ', '\t', '\r', '\n'}) values[static_cast<uint8_t>(c)] = kBlank;
  return values;
}();

std::string_view without_data_prefix(std::string_view text) {
  constexpr std::string_view kMark = ";base64,";
  if (!text.starts_with("data:")) return text;
  const size_t mark = text.substr(0, 256).find(kMark);
  return mark == text.npos ? text : text.substr(mark + kMark.size());
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int count = 0, pads = 0;
  for (char c : without_data_prefix(text)) {
    const int8_t value = kValues[static_cast<uint8_t>(c)];
    if (value == kBlank) continue;
    if (value == kBad || (pads > 0 && value != kPad)) return std::nullopt;
    if (value == kPad) {
      if (++pads > 2) return std::nullopt;
      continue;
    }
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (++count % 4 == 0) {
      for (int shift : {16, 8, 0}) out.push_back(static_cast<char>(bits >> shift));
      bits = 0;
    }
  }
  const int rest = count % 4;
  if (rest == 1 || (pads > 0 && rest + pads != 4)) return std::nullopt;
  if (rest >= 2) out.push_back(static_cast<char>(bits >> (rest == 2 ? 4 : 10)));
  if (rest == 3) out.push_back(static_cast<char>(bits >> 2));
  return out;
}

}  // namespace verge::api
