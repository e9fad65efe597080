// Decoding is strict: an overlong form, a surrogate or a truncated sequence is no code point, and is taken byte by
// byte, so that a tokenizer with byte tokens loses nothing of such input. Properties come from utf8proc; where the
// libraries that models were trained with differ from plain Unicode, the comment beside the function says how.
#include "engine/tokenizers/unicode.h"

#include <utf8proc.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "support/utf8.h"

namespace verge::engine {
namespace {

bool continuation(std::string_view text, size_t at) { return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80; }

struct ByteLevel {
  std::array<char32_t, 256> to_char{};
  std::array<int16_t, 512> to_byte{};
  ByteLevel() {
    to_byte.fill(-1);
    char32_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      to_char[byte] = printable ? static_cast<char32_t>(byte) : next++;
      to_byte[to_char[byte]] = static_cast<int16_t>(byte);
    }
  }
};

const ByteLevel& byte_level() {
  static const ByteLevel table;
  return table;
}

utf8proc_category_t category(char32_t point) { return utf8proc_category(static_cast<utf8proc_int32_t>(point)); }

}  // namespace

CodePoint code_point_at(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  uint32_t first = byte(at);
  if (first < 0x80) return {first, 1, true};
  if (first >= 0xC2 && first <= 0xDF && continuation(text, at + 1)) return {(first & 0x1F) << 6 | (byte(at + 1) & 0x3F), 2, true};
  if (first >= 0xE0 && first <= 0xEF && continuation(text, at + 1) && continuation(text, at + 2)) {
    uint32_t point = (first & 0x0F) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F);
    if (point >= 0x800 && (point < 0xD800 || point > 0xDFFF)) return {point, 3, true};
  }
  if (first >= 0xF0 && first <= 0xF4 && continuation(text, at + 1) && continuation(text, at + 2) && continuation(text, at + 3)) {
    uint32_t point = (first & 0x07) << 18 | (byte(at + 1) & 0x3F) << 12 | (byte(at + 2) & 0x3F) << 6 | (byte(at + 3) & 0x3F);
    if (point >= 0x10000 && point <= 0x10FFFF) return {point, 4, true};
  }
  return {};
}

void append_utf8(std::string& out, char32_t point) {
  auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6);
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

std::string_view whole_characters(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<uint8_t>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const size_t needed = byte >= 0xC2 && byte < 0xE0   ? 2
                          : byte >= 0xE0 && byte < 0xF0 ? 3
                          : byte >= 0xF0 && byte < 0xF5 ? 4
                                                        : 1;
    if (needed > back) text.remove_suffix(back);
    break;
  }
  return text;
}

bool is_whitespace(char32_t point) {
  if (point < 0x80) return point == ' ' || (point >= 9 && point <= 13);
  return point == 0x85 || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
         point == 0x202F || point == 0x205F || point == 0x3000;
}

bool is_letter(char32_t point) {
  auto c = category(point);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool is_mark(char32_t point) {
  auto c = category(point);
  return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}

bool is_nonspacing_mark(char32_t point) { return category(point) == UTF8PROC_CATEGORY_MN; }

bool is_number(char32_t point) {
  auto c = category(point);
  return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

// Alphabetic, M, Nd, Pc and Join_Control. Of Alphabetic, utf8proc lacks the few symbols: circled and squared letters.
bool is_word_character(char32_t point) {
  auto c = category(point);
  return is_letter(point) || is_mark(point) || c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_PC ||
         point == 0x200C || point == 0x200D || (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) ||
         (point >= 0x1F150 && point <= 0x1F169) || (point >= 0x1F170 && point <= 0x1F189);
}

bool is_decimal_digit(char32_t point) { return category(point) == UTF8PROC_CATEGORY_ND; }

bool is_punctuation(char32_t point) {
  auto c = category(point);
  return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool is_ascii_punctuation(char32_t point) {
  return (point >= 33 && point <= 47) || (point >= 58 && point <= 64) || (point >= 91 && point <= 96) || (point >= 123 && point <= 126);
}

bool is_other(char32_t point) {
  auto c = category(point);
  return c >= UTF8PROC_CATEGORY_CC && c <= UTF8PROC_CATEGORY_CO;
}

// Hugging Face's ranges: the fifth block starts at 2B920 there (Unicode's at 2B820), which models were trained with.
bool is_chinese(char32_t point) {
  return (point >= 0x4E00 && point <= 0x9FFF) || (point >= 0x3400 && point <= 0x4DBF) || (point >= 0x20000 && point <= 0x2A6DF) ||
         (point >= 0x2A700 && point <= 0x2B73F) || (point >= 0x2B740 && point <= 0x2B81F) || (point >= 0x2B920 && point <= 0x2CEAF) ||
         (point >= 0xF900 && point <= 0xFAFF) || (point >= 0x2F800 && point <= 0x2FA1F);
}

char32_t to_lower(char32_t point) {
  if (point < 0x80) return point >= 'A' && point <= 'Z' ? point + 32 : point;
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point)));
}

std::string normalize_unicode(std::string_view text, NormalForm form) {
  bool ascii = true;
  for (char c : text) ascii &= static_cast<uint8_t>(c) < 0x80;
  if (ascii) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::C || form == NormalForm::KC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::KC || form == NormalForm::KD) options |= UTF8PROC_COMPAT;
  std::string valid = is_utf8(text) ? std::string(text) : lossy_utf8(text);
  utf8proc_uint8_t* mapped = nullptr;
  auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()), static_cast<utf8proc_ssize_t>(valid.size()), &mapped,
                             static_cast<utf8proc_option_t>(options));
  std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (length < 0) return valid;  // out of memory or past 2 GiB: nothing to compose is lost, only left as it is
  return std::string(reinterpret_cast<const char*>(mapped), static_cast<size_t>(length));
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    CodePoint point = code_point_at(text, at);
    if (!point.valid) {
      out.push_back(text[at]);
    } else if (point.value == 0x130) {  // the one character whose lower case is two: i and a combining dot
      out += "i\xCC\x87";
    } else {
      append_utf8(out, to_lower(point.value));
    }
    at += point.length;
  }
  return out;
}

char32_t byte_level_char(uint8_t byte) { return byte_level().to_char[byte]; }

int byte_level_byte(char32_t point) { return point < 512 ? byte_level().to_byte[point] : -1; }

void append_byte_level(std::string& out, std::string_view bytes) {
  for (char c : bytes) append_utf8(out, byte_level_char(static_cast<uint8_t>(c)));
}

void byte_level_to_bytes(std::string_view text, std::string* out) {
  out->clear();
  for (size_t at = 0; at < text.size();) {
    CodePoint point = code_point_at(text, at);
    int byte = point.valid ? byte_level_byte(point.value) : -1;
    if (byte >= 0) {
      out->push_back(static_cast<char>(byte));
    } else {
      out->append(text.substr(at, point.length));
    }
    at += point.length;
  }
}

void space_symbols_to_spaces(std::string_view text, std::string* out) {
  out->clear();
  size_t at = 0;
  for (size_t found; (found = text.find(kSpaceSymbol, at)) != std::string_view::npos; at = found + kSpaceSymbol.size()) {
    out->append(text.substr(at, found - at)).push_back(' ');
  }
  out->append(text.substr(at));
}

}  // namespace verge::engine
