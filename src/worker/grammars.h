// The grammars of one loaded model: its tokens as tries, made when a grammar is first asked for, and the grammars that were
// asked for lately. Compiling is bounded in steps and memory (engine/grammar/bounds.h) and belongs on a thread that no
// sequence waits for; both may be called from several threads.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "engine/grammar/grammar.h"
#include "engine/load.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::worker {

class Grammars {
 public:
  explicit Grammars(const engine::LoadedModel& model) : model_(&model) {}  // outlives this, and the grammars

  // Request.params.grammar: {"kind": "json_schema" | "regex" | "choice", "source": text, "at": the field's JSON pointer}.
  // Errors: InvalidInput that names the field, and the place in it.
  Result<std::shared_ptr<engine::grammar::Grammar>> find(const json::object& wanted);

 private:
  struct Known {
    engine::grammar::SourceKind kind;
    std::string source;
    std::shared_ptr<engine::grammar::Grammar> grammar;
  };
  std::shared_ptr<engine::grammar::Grammar> known(engine::grammar::SourceKind kind, std::string_view source);
  const engine::grammar::TokenBytes& tokens();

  const engine::LoadedModel* model_;
  std::once_flag once_;
  std::unique_ptr<engine::grammar::TokenBytes> tokens_;
  std::mutex mutex_;
  std::list<Known> recent_;  // the latest first
};

}  // namespace verge::worker
