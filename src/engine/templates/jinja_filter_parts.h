// Filters by what they work on: each file has its functions, jinja_filters.cpp the table of names.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "engine/templates/jinja_runtime.h"

namespace verge::engine::jinja {

// What several filters do with their input.
Result<Value> soft_str(Runtime& rt, const Value& v);  // str(), but text stays what it is, safe mark included
Result<Value> hard_str(Runtime& rt, const Value& v);  // str(): a safe string loses its mark
inline bool given(const Value& v) { return !v.missing() && !v.is(Kind::None); }
// Calls a str method of `name` on the value's text.
Result<Value> by_method(Runtime& rt, const Value& v, std::string_view name, std::vector<Value> positional = {});

#define VERGE_FILTER(name) Result<Value> name(Runtime& rt, const Value& v, const Args& args)
// jinja_filters_text.cpp
VERGE_FILTER(f_upper);
VERGE_FILTER(f_lower);
VERGE_FILTER(f_capitalize);
VERGE_FILTER(f_trim);
VERGE_FILTER(f_title);
VERGE_FILTER(f_replace);
VERGE_FILTER(f_indent);
VERGE_FILTER(f_center);
VERGE_FILTER(f_truncate);
VERGE_FILTER(f_wordcount);
VERGE_FILTER(f_string);
VERGE_FILTER(f_safe);
VERGE_FILTER(f_escape);
VERGE_FILTER(f_forceescape);
VERGE_FILTER(f_format);
VERGE_FILTER(f_urlencode);
VERGE_FILTER(f_xmlattr);
VERGE_FILTER(f_filesizeformat);
VERGE_FILTER(f_tojson);
// jinja_filters_number.cpp
VERGE_FILTER(f_abs);
VERGE_FILTER(f_int);
VERGE_FILTER(f_float);
VERGE_FILTER(f_round);
#undef VERGE_FILTER

}  // namespace verge::engine::jinja
