// Runs a parsed template.
#pragma once

#include <cstdint>
#include <string>

#include "engine/tokenizers/foreign_text.h"
#include "engine/templates/jinja_ast.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine::jinja {

// The context: `own` has texts that may hold control tokens (bos_token …), `client` what the client
// sent, which goes before. The result knows which of its bytes are the client's. Errors are
// InvalidInput: the message given to raise_exception() as it is, every other one with the
// template's line.
Result<ForeignText> render(const Template& t, const json::object& own, const json::object& client,
                           int64_t now_unix_s);

}  // namespace verge::engine::jinja
