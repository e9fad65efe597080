// UTF-8 and the Unicode properties that tokenizers ask for (tables: utf8proc, Unicode 14).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace verge::engine {

struct CodePoint {
  char32_t value = 0xFFFD;  // U+FFFD where `valid` is false
  uint32_t length = 1;      // bytes taken; an invalid sequence takes one byte
  bool valid = false;       // false: stray or missing continuation, overlong form, surrogate, past U+10FFFF
};

// The code point at `at` (< text.size()).
CodePoint code_point_at(std::string_view text, size_t at);
void append_utf8(std::string& out, char32_t point);
// `text` without a character at its end that lacks bytes.
std::string_view whole_characters(std::string_view text);

bool is_whitespace(char32_t point);         // Unicode White_Space
bool is_letter(char32_t point);             // L*
bool is_number(char32_t point);             // N*
bool is_word_character(char32_t point);     // \w as Rust's regular expressions have it
bool is_decimal_digit(char32_t point);      // Nd
bool is_mark(char32_t point);               // M*
bool is_nonspacing_mark(char32_t point);    // Mn
bool is_punctuation(char32_t point);        // P*
bool is_ascii_punctuation(char32_t point);  // ! to / : to @ [ to ` { to ~
bool is_other(char32_t point);              // Cc, Cf, Cs, Co; not what is unassigned, as in the libraries of the models
bool is_chinese(char32_t point);            // the CJK blocks that BERT splits singly
char32_t to_lower(char32_t point);          // simple mapping

enum class NormalForm { C, D, KC, KD };
// Invalid bytes become U+FFFD.
std::string normalize_unicode(std::string_view text, NormalForm form);
// Full lower-casing, a code point at a time (no final-sigma rule), as Rust's char::to_lowercase.
std::string lowercase(std::string_view text);

// GPT-2's byte-level alphabet: a printable character for each byte; 33–126, 161–172 and 174–255 stand for
// themselves, the others follow from U+0100 in order.
char32_t byte_level_char(uint8_t byte);
// The byte that a character of that alphabet stands for, -1 where it is none.
int byte_level_byte(char32_t point);
void append_byte_level(std::string& out, std::string_view bytes);
// The reverse: the bytes that a token's text stands for. Characters outside the alphabet stay as they are.
void byte_level_to_bytes(std::string_view text, std::string* out);

inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";  // U+2581, SentencePiece's space
void space_symbols_to_spaces(std::string_view text, std::string* out);

}  // namespace verge::engine
