#pragma once

#include <string>

#include "support/json.h"
#include "support/utf8.h"

namespace verge::api {

// The value as text. Every JSON that the API sends is made here: whatever a file's name, a model or
// a converter put into it, the client gets UTF-8.
std::string json_body(const json::value& value);

}  // namespace verge::api
