// UTF-8 as Unicode defines it: no overlong forms, no surrogates.
#pragma once

#include <cstddef>
#include <string_view>

namespace verge {

// Length of the valid sequence at the start of `bytes`; 0 = there is none.
size_t utf8_sequence(std::string_view bytes);
bool is_utf8(std::string_view bytes);

}  // namespace verge
