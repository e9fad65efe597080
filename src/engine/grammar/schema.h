// JSON Schema (2020-12; draft 4 to 7 words too) to rules. A keyword is enforced exactly or the schema is refused: no text that
// the rules admit breaks the schema, and every text that they begin can be ended.
//
// A place of an answer has a set of schemas that it must meet or must not meet. The set is brought into alternatives of one
// type each (anyOf, oneOf, if, dependencies branch; not is pushed inwards), whose keywords are merged; the schemas of an
// object's values and an array's items are sets again, which makes the next rules.
//
// Ignored on purpose, as the specification says: annotations, formats and keywords that it does not define.
#pragma once

#include <memory>
#include <string_view>

#include "engine/grammar/envelope.h"
#include "engine/grammar/rules.h"
#include "support/error.h"

namespace verge::engine::grammar {

// Errors: InvalidInput "at '/pointer' (keyword): what is wrong", for a schema that is none, is not supported, is satisfied by
// nothing, or is larger than bounds.h lets it be.
Result<std::unique_ptr<Rules>> compile_schema(std::string_view schema);

// Errors are as of compile_schema(); pointers begin with the number of the part that has the schema.
Result<std::unique_ptr<Rules>> compile_envelope(const Envelope& envelope);

}  // namespace verge::engine::grammar
