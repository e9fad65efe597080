#include "api/responses/answer.h"

#include <utility>

#include "accounts/response_store.h"
#include "api/tasks/as_chat.h"
#include "api/utf8.h"
#include "support/clock.h"
#include "support/log.h"

namespace verge::api::responses {

std::string ResponseAnswer::begin() {
  return std::exchange(begun_, true) ? std::string() : writer_.opening();
}

std::string ResponseAnswer::piece(size_t /*index*/, const protocol::Token& token) {
  std::string out = begin();
  return out + writer_.text(token.text, token.logprobs);
}

std::string ResponseAnswer::delta(size_t /*index*/, const protocol::Delta& delta) {
  std::string out = begin();
  switch (delta.kind) {
    case protocol::Delta::Kind::Text: return out + writer_.text(delta.text, {});
    case protocol::Delta::Kind::Reasoning: return out + writer_.reasoning(delta.text);
    case protocol::Delta::Kind::Call: return out + writer_.call(delta.id, delta.name);
    case protocol::Delta::Kind::Arguments: return out + writer_.arguments(delta.text);
  }
  return out;
}

std::string ResponseAnswer::ending(size_t /*index*/, const Answer& answer) {
  std::string out = begin();
  return out + writer_.finish(answer.finish_reason, answer.usage, answer.reasoning_tokens,
                              unix_ms() / 1000);
}

http::task<void> ResponseAnswer::keep(const std::vector<Answer>& /*answers*/) {
  if (!store_) co_return;
  json::object& response = writer_.response();
  kept_.response = json_body(response);
  for (const json::value& item : response.at("output").as_array())
    kept_.item_ids.emplace_back(item.at("id").as_string());
  auto saving = store_->save(std::move(kept_));
  const Result<void> saved = co_await std::move(saving);
  if (saved) co_return;
  log::error("a response could not be kept", {{"error", saved.error().message}});
  response["store"] = false;
}

Error ResponseAnswer::named(Error error) const {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"/reasoning_effort", "/reasoning/effort"}};
  return in_own_names(std::move(error), kNames);
}

json::value ResponseAnswer::whole(const std::vector<Answer>& /*answers*/) {
  return writer_.response();
}
std::string ResponseAnswer::closing(const std::vector<Answer>& /*answers*/) {
  return writer_.last_event();
}
std::string ResponseAnswer::failure(const Published& error, std::string_view /*request_id*/) {
  return writer_.failure(error);
}

}  // namespace verge::api::responses
