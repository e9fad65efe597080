// Text generation: the task's parameters (protocol/tasks/text_generation.h) to what the batch runs. Pure but for the
// model's tables.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/load.h"
#include "engine/sampling.h"
#include "engine/tools/parser.h"
#include "protocol/tasks/text_generation.h"
#include "support/error.h"
#include "worker/grammars.h"

namespace verge::worker {

struct Generation {
  std::vector<int32_t> prompt;    // >= 1 id
  std::vector<int32_t> resume;    // of the answer, already given to the client
  int max_tokens = 0;             // of the answer, resume included
  engine::SamplingParams sampling;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  bool starts_text = true;        // see TextStream
  std::shared_ptr<engine::grammar::Grammar> grammar;  // null: any text
  std::shared_ptr<engine::tools::Parser> parser;      // null: the text is the answer
  std::vector<int32_t> shown;                         // control tokens that the parser reads
  std::function<std::string(size_t index, std::string_view name)> call_id;
};

// Bytes of the texts that a prompt is made of.
size_t prompt_bytes(const protocol::TextParameters& parameters);
// What the request may cost, told before its prompt is read: tokens of it and of a usual answer.
int64_t about_tokens(const protocol::TextParameters& parameters, size_t prompt_bytes);

// What is said beside the parameters: Request's members of these names.
struct Asked {
  std::string id;
  uint64_t seed = 0;
  std::vector<int32_t> resume_ids;
};

// Errors: InvalidInput and UnsupportedParameter with a pointer, ContextOverflow with both numbers.
Result<Generation> prepare_generation(const protocol::TextParameters& parameters, const Asked& asked, const engine::LoadedModel& model, Grammars& grammars,
                                      int context_tokens, int64_t now_unix_s);

// Tokens of the prompt; one past the context window is counted, too, up to twice its length.
// Errors: as above.
Result<int64_t> count_prompt_tokens(const protocol::TextParameters& parameters, const engine::LoadedModel& model, Grammars& grammars,
                                    int context_tokens, int64_t now_unix_s);

}  // namespace verge::worker
