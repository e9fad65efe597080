// Regular expressions as JSON Schema has them (ECMA-262 with the u flag, and what Annex B lets pass) to sets of strings.
// Refused by name, never read as something wider: back references, look-behind, word boundaries, look-ahead inside a repetition.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/language.h"
#include "support/error.h"

namespace verge::engine::grammar {

enum class Match { Search, Whole };  // found anywhere in a text, as `pattern` is; or the whole text, as guided_regex is

// Errors: InvalidInput with the place in the pattern.
Result<Lang> parse_pattern(Languages& languages, std::string_view pattern, Match match);

// UTF-8 to code points; what is no UTF-8 becomes U+FFFD.
std::u32string code_points(std::string_view text);

}  // namespace verge::engine::grammar
