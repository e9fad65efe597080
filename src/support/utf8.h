// UTF-8 as Unicode defines it: no overlong forms, no surrogates.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace verge {

// Length of the valid sequence at the start of `bytes`; 0 = there is none.
size_t utf8_sequence(std::string_view bytes);
bool is_utf8(std::string_view bytes);

// Where the first byte is that is no part of valid UTF-8; npos = there is none.
size_t first_invalid_utf8(std::string_view bytes);

// The text with every byte that is no part of valid UTF-8 replaced by U+FFFD: JSON must not carry it.
std::string lossy_utf8(std::string_view bytes);

}  // namespace verge
