// Web origins that may use the server without a token, as `verge serve --origin` names them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::api {

// A pattern in the form that allows_origin() takes: "*", "null" (pages of files), or SCHEME://HOST[:PORT], where HOST may
// be "*" or begin with "*." and PORT may be "*". Letters become small, a default port and a final slash go away.
// InvalidInput for what no browser's Origin header could ever equal: no scheme, a path, a star elsewhere.
Result<std::string> parse_origin_pattern(std::string_view text);

// Whether one of the patterns fits the value of an Origin header.
bool allows_origin(const std::vector<std::string>& patterns, std::string_view origin);

}  // namespace verge::api
