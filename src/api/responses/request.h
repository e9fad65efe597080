// A body of POST /v1/responses -> a TextRequest of the chat route, and what its answer repeats of
// it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/responses/items.h"
#include "api/tasks/text_generation.h"
#include "catalogue/entry.h"

namespace verge::api::responses {

struct Request {
  json::object body;
  std::string model;
  std::string previous;  // previous_response_id; empty = none
  Items input;           // of this request; items of type item_reference are still such
  bool store = true;
  bool logprobs = false;
  std::vector<std::string> ignored;
};

// What can be told without what is kept. `seed` makes ids of items.
Result<Request> read_request(json::object body, std::string_view seed);

// `items`: all that the model is given, with references resolved. Errors name what the client sent.
Result<TextRequest> to_text(const Request& request, const Items& items,
                            const catalogue::Entry& entry);

// The response object before the first token.
json::object response_json(const Request& request, const TextRequest& text, std::string_view id,
                           int64_t now_s);

}  // namespace verge::api::responses
