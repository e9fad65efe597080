// How a family of models writes calls. Which one a model has is told from its chat template; a
// template that knows of no tools gets the generic one, with the functions in a system message of
// ours.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/envelope.h"
#include "engine/tools/parser.h"
#include "support/error.h"

namespace verge::engine::tools {

// Parts of an envelope that calls begin and end with.
struct CallParts {
  std::vector<uint32_t> first, last;
  std::vector<uint32_t> first_at_start,
      last_at_start;  // ways that there are only where the answer begins
};

class Syntax {
 public:
  virtual ~Syntax() = default;
  virtual std::string_view name() const = 0;
  // Texts of the marks; where the vocabulary has one as a control token, that token is shown and
  // may be chosen.
  virtual std::vector<std::string> marks() const = 0;
  // As the model would write them.
  virtual std::string render(std::span<const Call> calls) const = 0;
  virtual std::unique_ptr<Parser> parser(std::span<const Function> functions) const = 0;
  // A regular expression that is found in a text exactly where calls begin; `^` is the answer's
  // beginning.
  virtual std::string trigger(std::span<const Function> functions) const = 0;
  // The parts of one call, or of several in one list where `parallel` and where the family has
  // lists. Errors: InvalidInput naming what the syntax can't write.
  virtual Result<CallParts> add(grammar::Envelope& envelope, std::span<const Function> functions,
                                bool parallel) const = 0;
  // A regular expression of what stands between two calls that follow each other.
  virtual std::string separator() const { return "\\n?"; }
  virtual bool repeats() const { return true; }  // calls can follow one another
};

// The syntax that a chat template asks for; null where it knows of no tools, or of none that is
// known here.
const Syntax* find_syntax(std::string_view chat_template);
const Syntax& generic_syntax();
// All of them, the generic one too.
std::vector<const Syntax*> all_syntaxes();

}  // namespace verge::engine::tools
