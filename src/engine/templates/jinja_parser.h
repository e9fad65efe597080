// Template source to its tree.
#pragma once

#include <string_view>

#include "engine/templates/jinja_ast.h"
#include "support/error.h"

namespace verge::engine::jinja {

// LoadFailed, with the line, for wrong syntax and for what Verge does not support (inheritance,
// includes, translations, a few filters).
Result<Template> parse(std::string_view source);

}  // namespace verge::engine::jinja
