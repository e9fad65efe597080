// The pieces of an answer -> the events and the final object of the Responses API. Pure; a whole
// answer goes the same way, its events left out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/errors.h"
#include "protocol/event.h"
#include "support/json.h"

namespace verge::api::responses {

// The usage as the Responses API counts it.
json::object usage_json(const protocol::Usage& usage, int64_t reasoning_tokens);

// Every call returns whole SSE events, each with its sequence_number, in the published order.
class Writer {
 public:
  // `response`: the object as it is before the first piece: status in_progress, output empty.
  // `seed` makes the items' ids. `logprobs`: those of the text are in its parts.
  Writer(json::object response, std::string seed, bool logprobs)
      : response_(std::move(response)), seed_(std::move(seed)), logprobs_(logprobs) {}

  std::string opening();
  std::string text(std::string_view piece, const std::vector<protocol::TokenLogprob>& logprobs);
  std::string reasoning(std::string_view piece);
  std::string call(std::string_view call_id, std::string_view name);
  std::string arguments(std::string_view piece);
  // Ends what is open. `finish_reason`: "length" leaves the response incomplete. An answer without
  // any piece has one empty text.
  std::string finish(std::string_view finish_reason, const protocol::Usage& usage,
                     int64_t reasoning_tokens, int64_t now_s);
  std::string last_event();  // response.completed or response.incomplete; after finish()
  std::string failure(const Published& error);

  json::object& response() { return response_; }

 private:
  enum class Open { None, Message, Reasoning, Call };
  std::string event(std::string_view type, json::object members);
  std::string state(std::string_view type);  // an event that has the whole response
  std::string open(Open kind, json::object item);
  std::string begin_text();
  std::string close(std::string_view status);
  json::object place() const;  // item_id, output_index
  json::object item_json(std::string_view status, bool complete) const;
  json::object text_part(bool complete) const;

  json::object response_;
  std::string seed_;
  bool logprobs_;
  int64_t sequence_ = 0;
  size_t items_ = 0;
  Open open_ = Open::None;
  json::object item_;  // that is open, as it was added
  std::string text_;   // of it: text, thought or arguments
  json::array text_logprobs_;
  std::vector<protocol::TokenLogprob> held_;  // of tokens that have given nothing yet
};

}  // namespace verge::api::responses
