// The grammars of one loaded model: its tokens as tries, made when a grammar is first asked for, and the grammars that were
// asked for lately. Compiling is bounded in steps and memory (engine/grammar/bounds.h) and belongs on a thread that no
// sequence waits for; both may be called from several threads.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/grammar.h"
#include "engine/load.h"
#include "engine/tools/syntax.h"
#include "engine/tools/thoughts.h"
#include "protocol/tasks/text_generation.h"
#include "support/error.h"

namespace verge::worker {

// What engine/grammar and engine/tools say of a place begins with it, quoted: the error with its pointer.
Error with_pointer(Error error);

class Grammars {
 public:
  explicit Grammars(const engine::LoadedModel& model);  // outlives this, and the grammars

  // Errors: InvalidInput with a pointer to the field, or to the place in it.
  Result<std::shared_ptr<engine::grammar::Grammar>> find(const protocol::WantedGrammar& wanted);
  // The same as a part of an answer.
  static Result<engine::grammar::EnvelopePart> part(const protocol::WantedGrammar& wanted);
  // Of texts in which the model's own marks (marks()) are written as control tokens where it has
  // such.
  Result<std::shared_ptr<engine::grammar::Grammar>> find(const engine::grammar::Envelope& envelope);

  // How the model writes calls and thoughts, told from its template; null: it has no way of its
  // own.
  const engine::tools::Syntax* syntax() const { return syntax_; }
  const engine::tools::Thought* thought() const { return thought_; }
  const std::vector<int32_t>& marks() const { return marks_; }

 private:
  struct Known {
    std::string source;  // its kind before it
    std::shared_ptr<engine::grammar::Grammar> grammar;
  };
  std::shared_ptr<engine::grammar::Grammar> known(std::string_view source);
  void keep(std::string source, std::shared_ptr<engine::grammar::Grammar> grammar);
  const engine::grammar::TokenBytes& tokens();
  const engine::grammar::TokenBytes& tokens_and_marks();

  const engine::LoadedModel* model_;
  const engine::tools::Syntax* syntax_ = nullptr;
  const engine::tools::Thought* thought_ = nullptr;
  std::vector<int32_t> marks_;  // control tokens of both
  std::once_flag once_, once_marks_;
  std::unique_ptr<engine::grammar::TokenBytes> tokens_, tokens_and_marks_;
  std::mutex mutex_;
  std::list<Known> recent_;  // the latest first
};

}  // namespace verge::worker
