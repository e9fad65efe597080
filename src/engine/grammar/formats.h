// `format` of JSON Schema as regular expressions, from the RFCs that it names; where a format is no regular language, or
// readers differ, a part of it that all of them take.
#pragma once

#include <string_view>

namespace verge::engine::grammar {

struct Format {
  std::string_view name, pattern;
};
// nullptr for a name that JSON Schema does not define: such a format says nothing about a text.
const Format* find_format(std::string_view name);
// Defined by JSON Schema, but not to be had: refused.
bool is_unsupported_format(std::string_view name);

}  // namespace verge::engine::grammar
