#pragma once

#include <string>
#include <string_view>

#include "support/json.h"

namespace verge::api {

// The text with every byte that is no part of valid UTF-8 replaced by U+FFFD: JSON must not carry it.
std::string lossy_utf8(std::string_view bytes);

// The value as text. Every JSON that the API sends is made here: whatever a file's name, a model or a converter put into
// it, the client gets UTF-8.
std::string json_body(const json::value& value);

}  // namespace verge::api
