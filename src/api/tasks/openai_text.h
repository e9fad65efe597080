// OpenAI's JSON of chat and text completions <-> TextRequest and answers.
#pragma once

#include <string>
#include <vector>

#include "api/tasks/text_generation.h"

namespace verge::api {

Result<TextRequest> parse_openai_chat(const json::object& body, const catalogue::Entry& entry);
Result<TextRequest> parse_openai_completion(const json::object& body, const catalogue::Entry& entry);

// {"content":[{token,logprob,bytes,top_logprobs}]}; null where there are none.
json::value chat_logprobs(const std::vector<protocol::TokenLogprob>& tokens);
// {"tokens":…,"token_logprobs":…,"top_logprobs":…,"text_offset":…}; `offset`: characters before the first token.
json::value completion_logprobs(const std::vector<protocol::TokenLogprob>& tokens, size_t offset);

}  // namespace verge::api
