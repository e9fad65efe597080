// What an answer is made of: a thought, then text or calls, or a text under a grammar. One
// description gives the grammar that the tokens must follow and the parser that reads them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/grammar/envelope.h"
#include "engine/tools/parser.h"
#include "engine/tools/syntax.h"
#include "engine/tools/thoughts.h"

namespace verge::engine::tools {

struct AnswerForm {
  const Thought* thought = nullptr;  // null: there is none
  bool inside = false;               // the answer begins inside it
  const Syntax* syntax = nullptr;    // null: no calls
  std::vector<Function> functions;   // that may be called, >= 1 where there is a syntax
  bool required = false;             // the answer is a call
  bool parallel = true;              // of several, else of one at most
  std::optional<grammar::EnvelopePart>
      body;  // what is said must be this; calls may come in its place
};

// Empty: any text. Errors: InvalidInput that names a function's schema.
Result<grammar::Envelope> answer_envelope(const AnswerForm& form);
// Null: the text is the answer.
std::unique_ptr<Parser> answer_parser(const AnswerForm& form);

}  // namespace verge::engine::tools
