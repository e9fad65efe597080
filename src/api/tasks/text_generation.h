// Published JSON of text generation <-> the parameters that the worker takes (protocol/tasks/text_generation.h).
// The native route's shape is here and what it shares with OpenAI's, whose own part is openai_text.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/tasks/params.h"
#include "catalogue/entry.h"
#include "protocol/event.h"
#include "protocol/tasks/text_generation.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::api {

// A request after validation, before a Request is made of it.
struct TextRequest {
  protocol::TextParameters params;   // all of it but the prompt is the same for every prompt
  std::vector<std::string> prompts;  // of a completion; else empty and params has a prompt or messages
  std::optional<uint64_t> seed;      // nullopt = the client leaves it to us
  int n = 1;                         // answers a prompt
  bool chat = false;                 // messages were given
  bool stream = false;
  bool include_usage = false;  // of an OpenAI stream
  bool echo = false;                 // a completion's text begins with its prompt
  bool json = false;           // the answer must be JSON
  std::vector<std::string> ignored;  // names that no table of parameters.h has
};

// `input` is what stands beside the model in a native request, `schema` the model's published input.
// InvalidInput and UnsupportedParameter name the field.
Result<TextRequest> parse_native_text(json::value input, const catalogue::Entry& entry, const json::object& schema);

// ---- Shared with OpenAI's routes

struct TextRanges {
  int64_t max_tokens_least;  // -1 and -2, where they are taken, set no limit
  bool max_tokens_strict;    // more than the context window has room for is an error; else the answer ends there
  double temperature_most;
  int64_t top_k_least, top_k_most;
  int64_t seed_least, seed_most;
};
// Sampling parameters of `in` into `out.params`, with the entry's defaults. Without max_tokens `default_tokens` count, as
// far as there is room for them; nullopt: the answer may fill the context window.
void read_sampling(Params& in, const catalogue::Entry& entry, const TextRanges& ranges, std::optional<int64_t> default_tokens,
                   TextRequest& out);
// logprobs and top_logprobs of a chat.
void read_chat_logprobs(Params& in, TextRequest& out);
// [{role, content: string, …}]: parts of text are joined, "developer" becomes "system", calls and their results are as
// protocol/tasks/text_generation.h has them. Members that
// nothing reads are added to `ignored`, as "messages.NAME".
Result<json::array> normalise_messages(const json::value& messages,
                                       std::vector<std::string>& ignored);

// {"prompt_tokens":…,"completion_tokens":…,"total_tokens":…,"prompt_tokens_details":{"cached_tokens":…}}
json::object usage_json(const protocol::Usage& usage);

}  // namespace verge::api
