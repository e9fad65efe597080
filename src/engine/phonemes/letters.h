// Texts by characters, with Python's questions about them.
#pragma once

#include <string>
#include <string_view>

namespace verge::engine::phonemes {

std::u32string characters(std::string_view text);
std::string utf8(std::u32string_view characters);

bool is_letter(char32_t c);
bool is_digit(char32_t c);  // any script's
std::string lower(std::string_view text);
std::string upper(std::string_view text);
std::string capitalized(std::string_view text);

bool all_letters(std::string_view text);       // and there is one
bool all_ascii_digits(std::string_view text);  // and there is one

}  // namespace verge::engine::phonemes
