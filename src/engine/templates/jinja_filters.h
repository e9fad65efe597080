// Jinja's filters and tests by name.
#pragma once

#include <string_view>

#include "engine/templates/jinja_ast.h"

namespace verge::engine::jinja {

Filter find_filter(std::string_view name);           // null: no such filter
Filter find_test(std::string_view name);             // null: no such test; the result is a Bool
bool filter_not_supported(std::string_view name);    // one of Jinja's that Verge leaves out

// A global function ("range", "namespace" …); Missing where there is none of that name.
Value find_global(Runtime& rt, std::string_view name);

}  // namespace verge::engine::jinja
