// Arguments one by one, for syntaxes that do not write them as one JSON object.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/grammar/envelope.h"
#include "engine/tools/parser.h"
#include "engine/tools/syntax.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine::tools {

struct Argument {
  std::string name;
  bool required = false;
  bool text = false;  // strings and nothing else
  bool boolean = false;
};
// The properties of a function's schema, as written. What the schema says of the object as a whole
// can't be kept where each is written by itself: InvalidInput names such a word.
Result<std::vector<Argument>> arguments_of(const Function& function);
// The same without errors, for parsers: empty where arguments_of() fails.
std::vector<Argument> known_arguments(const Function& function);

// How arguments follow one another. All texts are regular expressions.
struct ArgumentStyle {
  std::function<std::string(const Argument& one, bool first)> before;
  bool raw_text = false;  // strings without JSON's quotes and escapes, between
  std::string text_open, text_close;
  std::string never_in_text;  // what would end one
  std::string after;          // behind each value
  bool python = false;        // True and False
};
// Parts of the arguments in the order of the schema: `from` leads to the first, or to `end` where
// none must come.
Result<void> add_arguments(grammar::Envelope& envelope, const Function& function,
                           const ArgumentStyle& style, uint32_t from, uint32_t end);

// A call of each function: `open`, its name, `name_end`, its arguments, `close`; all but the name
// are regular expressions.
Result<CallParts> add_calls(grammar::Envelope& envelope, std::span<const Function> functions,
                            const ArgumentStyle& style, std::string open,
                            const std::string& name_end, std::string close);

// [(name, value)] of a call's JSON, in order.
std::vector<std::pair<std::string, json::value>> pairs_of(const Call& call);

}  // namespace verge::engine::tools
