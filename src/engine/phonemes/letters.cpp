#include "engine/phonemes/letters.h"

#include <utf8proc.h>

#include <algorithm>

#include "engine/tokenizers/unicode.h"

namespace verge::engine::phonemes {

std::u32string characters(std::string_view text) {
  std::u32string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    out += point.value;
    at += point.length;
  }
  return out;
}

std::string utf8(std::u32string_view characters) {
  std::string out;
  for (const char32_t c : characters) append_utf8(out, c);
  return out;
}

bool is_letter(char32_t c) { return engine::is_letter(c); }
bool is_digit(char32_t c) { return engine::is_decimal_digit(c); }

std::string lower(std::string_view text) { return engine::lowercase(text); }

std::string upper(std::string_view text) {
  std::u32string out = characters(text);
  for (char32_t& c : out) c = static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
  return utf8(out);
}

std::string capitalized(std::string_view text) {
  std::u32string out = characters(lower(text));
  if (!out.empty()) {
    out[0] = static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(out[0])));
  }
  return utf8(out);
}

bool all_letters(std::string_view text) {
  const std::u32string all = characters(text);
  return !all.empty() && std::ranges::all_of(all, is_letter);
}

bool all_ascii_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

}  // namespace verge::engine::phonemes
