// Values in notations near to JSON: Python's literals, and Gemma's with bare keys and marks as
// quotes.
#pragma once

#include <string>
#include <string_view>

namespace verge::engine::tools {

// `quote`: a mark that stands around texts, beside " and '; empty: there is none.

// Where the value that `text` begins with ends: before a comma or a closing bracket that is not its
// own. npos: not there yet.
size_t value_end(std::string_view text, std::string_view quote);
// The value as JSON; what can't be read becomes a text.
std::string value_to_json(std::string_view text, std::string_view quote);

}  // namespace verge::engine::tools
