// JSON files beside weights, as the tools that wrote them read them: Python's json writes NaN and
// Infinity, and editors leave a byte-order mark.
#pragma once

#include <string_view>

#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

std::string_view without_byte_order_mark(std::string_view text);

// parse_json, where NaN is null (no value at all, for every reader of a configuration) and an
// infinity the largest double of its sign.
Result<json::value> parse_config_json(std::string_view text);

// The number that a token is named by: integers, and what counts as one (2.0, "2"). -1 for
// everything else.
int64_t token_id(const json::value& value);

}  // namespace verge::engine
