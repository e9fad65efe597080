// Grammars as llama.cpp writes them (GBNF): `name ::= alternatives`, texts in quotes, classes of
// characters, groups, | * + ? {n} {n,} {n,m}, # comments. `root` is the whole text.
//
// Rules that do not come back to themselves are sets of texts (language.h), so that repetitions in
// them are counters. The others are parts that follow one another (a Glushkov automaton each) and
// call other rules; rules.h has them, the machine keeps the calls as a stack.
//
// Refused by name: rules that begin with themselves, a text that nothing ends, names that are not
// defined or twice, token references, and what is larger than bounds.h lets it be.
#pragma once

#include <string_view>

#include "engine/grammar/rules.h"
#include "support/error.h"

namespace verge::engine::grammar {

// Adds the grammar to rules.parts, and what part number `part` must be for it. That part is there
// already; its `next` and `last` stay. Errors: InvalidInput "at line 2, column 7: what is wrong".
Result<void> add_gbnf(Rules& rules, uint32_t part, std::string_view source);

}  // namespace verge::engine::grammar
