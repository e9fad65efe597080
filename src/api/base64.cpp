#include "api/base64.h"

#include "support/base64.h"

namespace verge::api {
namespace {

std::string_view without_data_prefix(std::string_view text) {
  constexpr std::string_view kMark = ";base64,";
  if (!text.starts_with("data:")) return text;
  const size_t mark = text.substr(0, 256).find(kMark);
  return mark == text.npos ? text : text.substr(mark + kMark.size());
}

}  // namespace

bool is_address(std::string_view text) {
  for (std::string_view scheme : {"http://", "https://", "blob:", "file:"})
    if (text.starts_with(scheme)) return true;
  return false;
}

std::optional<std::string> decode_base64(std::string_view text) {
  text = without_data_prefix(text);
  std::string plain;  // RFC 4648's first alphabet, padded
  plain.reserve(text.size() + 3);
  for (char c : text) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    plain += c == '-' ? '+' : c == '_' ? '/' : c;
  }
  // What has padding must have all of it; a single character over is no byte either way.
  if (!plain.ends_with('=') && plain.size() % 4 != 1) plain.append((4 - plain.size() % 4) % 4, '=');
  return base64_decode(plain);
}

}  // namespace verge::api
