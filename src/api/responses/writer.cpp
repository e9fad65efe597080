#include "api/responses/writer.h"

#include "api/responses/items.h"
#include "api/sse.h"
#include "api/tasks/openai_text.h"
#include "support/utf8.h"

namespace verge::api::responses {
namespace {

json::array logprobs_json(const std::vector<protocol::TokenLogprob>& tokens) {
  const json::value chat = chat_logprobs(tokens);
  return chat.is_object() ? chat.at("content").as_array() : json::array();
}

}  // namespace

json::object usage_json(const protocol::Usage& usage, int64_t reasoning_tokens) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", json::object{{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", json::object{{"reasoning_tokens", reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

std::string Writer::event(std::string_view type, json::object members) {
  json::object body{{"type", type}, {"sequence_number", sequence_++}};
  for (auto& [key, value] : members) body[key] = std::move(value);
  return fmt::format("event: {}\n{}", type, sse_event(body));
}

std::string Writer::state(std::string_view type) { return event(type, {{"response", response_}}); }

std::string Writer::opening() {
  std::string out = state("response.created");
  return out + state("response.in_progress");
}

json::object Writer::place() const {
  return {{"item_id", item_.at("id")}, {"output_index", items_ - 1}};
}

json::object Writer::text_part(bool complete) const {
  json::object part{
      {"type", "output_text"}, {"text", complete ? text_ : ""}, {"annotations", json::array()}};
  part["logprobs"] = complete ? text_logprobs_ : json::array();
  return part;
}

std::string Writer::open(Open kind, json::object item) {
  std::string out = close("completed");
  open_ = kind;
  item_ = std::move(item);
  text_.clear();
  text_logprobs_.clear();
  ++items_;
  return out + event("response.output_item.added", {{"output_index", items_ - 1}, {"item", item_}});
}

std::string Writer::begin_text() {
  json::object item{{"id", item_id("msg", seed_, items_)},
                    {"type", "message"},
                    {"status", "in_progress"},
                    {"role", "assistant"},
                    {"content", json::array()}};
  std::string out = open(Open::Message, std::move(item));
  json::object members = place();
  members["content_index"] = 0;
  members["part"] = text_part(false);
  return out + event("response.content_part.added", std::move(members));
}

std::string Writer::text(std::string_view piece,
                         const std::vector<protocol::TokenLogprob>& logprobs) {
  if (logprobs_) held_.insert(held_.end(), logprobs.begin(), logprobs.end());
  // A token without text may be one of a thought or of a call, which its pieces then tell.
  if (piece.empty() && (held_.empty() || open_ != Open::Message)) return {};
  std::string out = open_ == Open::Message ? std::string() : begin_text();
  const std::string text = lossy_utf8(piece);
  text_ += text;
  json::array pieces = logprobs_json(held_);
  held_.clear();
  for (const json::value& one : pieces) text_logprobs_.push_back(one);
  json::object members = place();
  members["content_index"] = 0;
  members["delta"] = text;
  members["logprobs"] = std::move(pieces);
  return out + event("response.output_text.delta", std::move(members));
}

std::string Writer::reasoning(std::string_view piece) {
  held_.clear();
  if (piece.empty()) return {};
  std::string out;
  if (open_ != Open::Reasoning) {
    out = open(Open::Reasoning, {{"id", item_id("rs", seed_, items_)},
                                 {"type", "reasoning"},
                                 {"status", "in_progress"},
                                 {"summary", json::array()},
                                 {"content", json::array()}});
    json::object added = place();
    added["content_index"] = 0;
    added["part"] = json::object{{"type", "reasoning_text"}, {"text", ""}};
    out += event("response.content_part.added", std::move(added));
  }
  const std::string text = lossy_utf8(piece);
  text_ += text;
  json::object members = place();
  members["content_index"] = 0;
  members["delta"] = text;
  return out + event("response.reasoning_text.delta", std::move(members));
}

std::string Writer::call(std::string_view call_id, std::string_view name) {
  held_.clear();
  return open(Open::Call, {{"id", item_id("fc", seed_, items_)},
                           {"type", "function_call"},
                           {"status", "in_progress"},
                           {"arguments", ""},
                           {"call_id", call_id},
                           {"name", name}});
}

std::string Writer::arguments(std::string_view piece) {
  held_.clear();
  if (piece.empty() || open_ != Open::Call) return {};
  const std::string text = lossy_utf8(piece);
  text_ += text;
  json::object members = place();
  members["delta"] = text;
  return event("response.function_call_arguments.delta", std::move(members));
}

json::object Writer::item_json(std::string_view status, bool complete) const {
  json::object item = item_;
  item["status"] = status;
  if (!complete) return item;
  if (open_ == Open::Message) item["content"] = json::array{text_part(true)};
  if (open_ == Open::Reasoning)
    item["content"] = json::array{json::object{{"type", "reasoning_text"}, {"text", text_}}};
  if (open_ == Open::Call) item["arguments"] = text_;
  return item;
}

std::string Writer::close(std::string_view status) {
  if (open_ == Open::None) return {};
  std::string out;
  json::object members = place();
  if (open_ == Open::Call) {
    members["name"] = item_.at("name");
    members["arguments"] = text_;
    out += event("response.function_call_arguments.done", std::move(members));
  } else {
    members["content_index"] = 0;
    members["text"] = text_;
    if (open_ == Open::Message) members["logprobs"] = text_logprobs_;
    out +=
        event(open_ == Open::Message ? "response.output_text.done" : "response.reasoning_text.done",
              std::move(members));
    json::object part = place();
    part["content_index"] = 0;
    part["part"] = open_ == Open::Message
                       ? text_part(true)
                       : json::object{{"type", "reasoning_text"}, {"text", text_}};
    out += event("response.content_part.done", std::move(part));
  }
  json::object item = item_json(status, true);
  out += event("response.output_item.done", {{"output_index", items_ - 1}, {"item", item}});
  response_["output"].as_array().push_back(std::move(item));
  open_ = Open::None;
  return out;
}

std::string Writer::finish(std::string_view finish_reason, const protocol::Usage& usage,
                           int64_t reasoning_tokens, int64_t now_s) {
  std::string out;
  if (items_ == 0) out = begin_text();
  const bool cut = finish_reason == "length";
  out += close(cut ? "incomplete" : "completed");
  response_["status"] = cut ? "incomplete" : "completed";
  if (cut) response_["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
  else response_["completed_at"] = now_s;
  response_["usage"] = usage_json(usage, reasoning_tokens);
  return out;
}

std::string Writer::last_event() {
  return state(response_.at("status") == "incomplete" ? "response.incomplete"
                                                      : "response.completed");
}

std::string Writer::failure(const Published& error) {
  // Items that were done stay; the open one is not among them.
  response_["status"] = "failed";
  response_["error"] = json::object{{"code", error.status == 429  ? "rate_limit_exceeded"
                                             : error.status < 500 ? "invalid_prompt"
                                                                  : "server_error"},
                                    {"message", error.description}};
  return state("response.failed");
}

}  // namespace verge::api::responses
