// Bytes as hexadecimal digits, lower case: as SHA-256 sums are written.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace verge {

inline std::string hex(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (unsigned char byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

// Whether a text is so many digits, none of them upper case.
inline bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace verge
