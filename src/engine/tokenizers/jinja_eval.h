// Runs a parsed template.
#pragma once

#include <cstdint>
#include <string>

#include "engine/tokenizers/jinja_ast.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine::jinja {

// `variables` is the context. Errors are InvalidInput: the message given to raise_exception() as it
// is, every other one with the template's line.
Result<std::string> render(const Template& t, const json::object& variables, int64_t now_unix_s);

}  // namespace verge::engine::jinja
