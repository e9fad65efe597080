// A body of Anthropic's POST /v1/messages -> a TextRequest of the chat route.
#pragma once

#include "api/tasks/text_generation.h"
#include "catalogue/entry.h"

namespace verge::api::messages {

// JSON pointer of what asks a model for thoughts, by which an error names it.
std::string_view effort_name(const json::object& body);

// `counting`: of /v1/messages/count_tokens, which has no max_tokens: nothing is to be written.
Result<TextRequest> read_request(const json::object& body, const catalogue::Entry& entry,
                                 bool counting);

}  // namespace verge::api::messages
