#pragma once

#include <string>
#include <string_view>

namespace verge::api {

// The text with every byte that is no part of valid UTF-8 replaced by U+FFFD: JSON must not carry it.
std::string lossy_utf8(std::string_view bytes);

}  // namespace verge::api
