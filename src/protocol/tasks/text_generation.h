// Text generation between api and worker: the typed part of Request.params that says which
// functions the model may call and how it thinks, and the pieces of an answer that are more than
// text.
//
// An answer's pieces travel in two ways. Text alone is protocol::Token's text. A token that gives
// anything else (a piece of thought, of a call) has its ids in a Token without text, and then one
// protocol::Part for each of its pieces, in order. A worker that resumes an answer repeats the
// Parts of the ids that it was given, and the router leaves out those that the client has, so that
// the pieces after a node's death are those that would have come.
//
// An answer that ended at one of the request's stop strings has a Result, see TextOutcome.
//
// Prompts. `messages`, and a `prompt` without `raw` (one user message), pass through the model's chat template. A model
// without one (a base model) gets a `prompt` as it is, and `messages` as a plain transcript: "role: content" lines, then
// "assistant:".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/event.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::protocol {

struct Tool {
  std::string name;
  std::string description;  // empty: none
  json::object
      parameters;  // a JSON Schema of the arguments; empty: none was given, there are no arguments
  std::string at;  // JSON pointer of the schema in the client's request, for messages
  bool operator==(const Tool&) const = default;
};

enum class ToolMode { Auto, None, Required };  // Required: the answer is a call

struct ToolChoice {
  ToolMode mode = ToolMode::Auto;
  std::vector<std::string> names;  // that may be called; empty: all
  bool operator==(const ToolChoice&) const = default;
};

struct Tools {
  std::vector<Tool> tools;
  ToolChoice choice;
  bool parallel = true;  // false: at most one call
  bool operator==(const Tools&) const = default;
};

// What the answer must look like, see worker/grammars.h.
struct WantedGrammar {
  std::string kind;    // "json_schema", "regex", "choice", "gbnf"
  std::string source;  // a schema or a list of texts in JSON, or an expression
  std::string at;      // JSON pointer of it in the client's request, for messages
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("kind", self.kind);
    visit("source", self.source);
    visit("at", self.at);
  }
  bool operator==(const WantedGrammar&) const = default;
};

struct TextParameters {
  // Exactly one of the two. A message has role (system, user, assistant, tool) and content (text, or null beside
  // tool_calls). An assistant's may have "tool_calls": [{id, type: "function", function: {name, arguments: {object}}}]
  // and "reasoning_content"; a tool's has "name" and, where the client has ids, "tool_call_id". This is what chat
  // templates take.
  std::optional<std::string> prompt;
  std::optional<json::array> messages;
  bool raw = false;                   // the prompt goes to the model as it is, no chat template
  std::optional<int64_t> max_tokens;  // >= 0; none: up to the context window
  bool clamp_max_tokens = false;      // what the context window has no room for is left out; else it is an error
  // None: 0.6, 1, 0, 1, 0, 0.
  std::optional<double> temperature, top_p, min_p, repetition_penalty, frequency_penalty, presence_penalty;
  std::optional<int64_t> top_k;                            // none or 0: off
  std::vector<std::pair<int32_t, double>> logit_bias;      // token ids, >= 0
  std::vector<std::string> stop;                           // none is empty
  std::optional<int64_t> logprobs;                         // 0: the chosen token's; n: the n best too
  std::optional<json::object> chat_template_kwargs;        // variables for the template
  std::optional<std::string> reasoning_effort;             // none, minimal, low, medium, high, xhigh, max
  // Where there are some they are the model's own: an effort that is one of them goes to the template as it is, "none" beside
  // them is its switch.
  std::vector<std::string> reasoning_levels;
  bool reasoning_usual = false;  // nobody asked for the effort: without effect where the template has no such variable
  bool count_tokens = false;  // the prompt's are counted and nothing is computed: the answer is a TextOutcome
  bool ignore_eos = false;  // go on to max_tokens: no stop token is ever chosen; without effect under a grammar
  std::optional<WantedGrammar> grammar;
  Tools tools;
  bool operator==(const TextParameters&) const = default;
};
json::object to_json(const TextParameters& parameters);
// Errors: InvalidInput, for what to_json() does not write, with a pointer to it.
verge::Result<TextParameters> text_parameters(const json::object& params);

struct ToolCall {
  std::string id, name;
  std::string arguments;  // as the model wrote them, or as JSON where its own spelling is another
  bool operator==(const ToolCall&) const = default;
};

// A piece of an answer.
struct Delta {
  enum class Kind { Text, Reasoning, Call, Arguments };
  Kind kind = Kind::Text;
  size_t index = 0;      // of the call, from 0; calls do not interleave
  std::string id, name;  // of a Call, which begins one
  std::string text;      // a piece of the text, of the thought or of the arguments
  bool operator==(const Delta&) const = default;
};
// {"text"} | {"reasoning"} | {"call", "id", "name"} | {"call", "arguments"}
json::value to_json(const Delta& delta);
std::optional<Delta> delta_from_json(
    const json::value& value);  // nullopt: the Part is of another kind

struct TextOutcome {
  std::string stop;  // the stop string at which the answer ended; empty = another end
  std::optional<int64_t> input_tokens;  // where they were counted
};
Result to_result(const TextOutcome& outcome);
TextOutcome text_outcome(const Result& result);

// What the pieces of a whole answer come to, beside its text.
struct Generated {
  std::string reasoning;
  std::vector<ToolCall> calls;
  void add(const Delta& delta);  // Text is not kept here
};

}  // namespace verge::protocol
