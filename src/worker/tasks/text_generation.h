// Text generation: a request's parameters to what the batch runs. Pure but for the model's tables.
//
// Request.params, normalised by api (absent = the default in brackets):
//   prompt: string | messages: [{role, content, …}]   exactly one
//   raw: bool [false]            prompt goes to the model as it is, no chat template
//   max_tokens: int [up to the context window]
//   clamp_max_tokens: bool [false]  a max_tokens that the context window has no room for means all
//   of its room; else
//                                   it is an error
//   temperature [0.6], top_p [1], top_k [0 = off], min_p [0], repetition_penalty [1],
//   frequency_penalty [0], presence_penalty [0]
//   logit_bias: {"<id>": number}
//   stop: [string]
//   logprobs: int [-1 none], 0 = the chosen token's, n <= 20: the n best too
//   chat_template_kwargs: {…}    variables for the template
//   ignore_eos: bool [false]     go on to max_tokens: no stop token is ever chosen; without effect
//   under a grammar grammar: {kind, source, at}  what the answer must look like, see
//   worker/grammars.h tools, tool_choice, parallel_tool_calls, reasoning_effort  see
//   protocol/tasks/text_generation.h
//
// Prompts. `messages`, and a `prompt` without `raw` (one user message), pass through the model's
// chat template. A model without one (a base model) gets a `prompt` as it is, and `messages` as a
// plain transcript: "role: content" lines, then "assistant:".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/load.h"
#include "engine/sampling.h"
#include "engine/tools/parser.h"
#include "protocol/request.h"
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
size_t prompt_bytes(const json::object& params);
// What the request may cost, told before its prompt is read: tokens of it and of a usual answer.
int64_t about_tokens(const json::object& params, size_t prompt_bytes);

// Errors: InvalidInput naming the field, UnsupportedParameter, ContextOverflow with both numbers.
Result<Generation> prepare_generation(const protocol::Request& request, const engine::LoadedModel& model, Grammars& grammars,
                                      int context_tokens, int64_t now_unix_s);

}  // namespace verge::worker
