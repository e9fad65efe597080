#include "api/messages/answer.h"

#include <utility>

#include "api/sse.h"
#include "api/tasks/as_chat.h"
#include "support/utf8.h"

namespace verge::api::messages {
namespace {

std::string event(std::string_view type, json::object members = {}) {
  json::object body{{"type", type}};
  for (auto& [key, value] : members) body[key] = std::move(value);
  return fmt::format("event: {}\n{}", type, sse_event(body));
}

// Tokens that were found in the prefix cache are not among input_tokens.
json::object usage_json(const protocol::Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

// The stop string that was found, where it was one.
json::value stop_sequence(const Answer& answer) {
  const protocol::TextOutcome outcome = protocol::text_outcome(answer.result);
  return outcome.stop.empty() ? json::value(nullptr) : json::value(outcome.stop);
}

std::string_view stop_reason(const Answer& answer) {
  if (answer.finish_reason == "length") return "max_tokens";
  if (answer.finish_reason == "tool_calls") return "tool_use";
  return stop_sequence(answer).is_null() ? "end_turn" : "stop_sequence";
}

constexpr size_t kInputDepth = 128;

}  // namespace

json::object MessageAnswer::message(const protocol::Usage& usage) const {
  return {{"id", id_},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model_},
          {"content", json::array()},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", usage_json(usage)}};
}

json::value MessageAnswer::whole(const std::vector<Answer>& answers) {
  const Answer& answer = answers.front();
  json::object out = message(answer.usage);
  json::array content;
  if (!answer.generated.reasoning.empty())
    content.push_back(json::object{{"type", "thinking"},
                                   {"thinking", lossy_utf8(answer.generated.reasoning)},
                                   {"signature", ""}});
  if (!answer.text.empty())
    content.push_back(json::object{{"type", "text"}, {"text", lossy_utf8(answer.text)}});
  for (const protocol::ToolCall& call : answer.generated.calls) {
    json::value input = json::object();
    if (auto parsed = parse_json(call.arguments, kInputDepth)) input = std::move(*parsed);
    content.push_back(json::object{
        {"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", std::move(input)}});
  }
  out["content"] = std::move(content);
  out["stop_reason"] = stop_reason(answer);
  out["stop_sequence"] = stop_sequence(answer);
  return out;
}

void MessageAnswer::accepted(size_t /*index*/, const protocol::Usage& prompt) { prompt_ = prompt; }

std::string MessageAnswer::begin() {
  if (std::exchange(begun_, true)) return {};
  std::string out = event("message_start", {{"message", message(prompt_)}});
  return out + event("ping");
}

std::string MessageAnswer::open(Block kind, json::object block) {
  std::string out = begin();
  out += close();
  open_ = kind;
  return out +
         event("content_block_start", {{"index", blocks_}, {"content_block", std::move(block)}});
}

std::string MessageAnswer::close() {
  if (open_ == Block::None) return {};
  std::string out;
  if (open_ == Block::Thinking) out = write({{"type", "signature_delta"}, {"signature", ""}});
  out += event("content_block_stop", {{"index", blocks_++}});
  open_ = Block::None;
  return out;
}

std::string MessageAnswer::write(json::object delta) {
  return event("content_block_delta", {{"index", blocks_}, {"delta", std::move(delta)}});
}

std::string MessageAnswer::piece(size_t /*index*/, const protocol::Token& token) {
  std::string out = begin();
  if (token.text.empty()) return out;
  if (open_ != Block::Text) out += open(Block::Text, {{"type", "text"}, {"text", ""}});
  return out + write({{"type", "text_delta"}, {"text", lossy_utf8(token.text)}});
}

std::string MessageAnswer::delta(size_t index, const protocol::Delta& delta) {
  using Kind = protocol::Delta::Kind;
  if (delta.kind == Kind::Text) return piece(index, protocol::Token({}, delta.text));
  if (delta.kind == Kind::Call)
    return open(
        Block::ToolUse,
        {{"type", "tool_use"}, {"id", delta.id}, {"name", delta.name}, {"input", json::object()}});
  std::string out = begin();
  if (delta.text.empty()) return out;
  if (delta.kind == Kind::Arguments)
    return out + write({{"type", "input_json_delta"}, {"partial_json", lossy_utf8(delta.text)}});
  if (open_ != Block::Thinking)
    out += open(Block::Thinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
  return out + write({{"type", "thinking_delta"}, {"thinking", lossy_utf8(delta.text)}});
}

std::string MessageAnswer::ending(size_t /*index*/, const Answer& answer) {
  std::string out = begin();
  out += close();
  json::object delta{{"stop_reason", stop_reason(answer)},
                     {"stop_sequence", stop_sequence(answer)}};
  return out +
         event("message_delta", {{"delta", std::move(delta)}, {"usage", usage_json(answer.usage)}});
}

std::string MessageAnswer::closing(const std::vector<Answer>& /*answers*/) {
  return event("message_stop");
}

Error MessageAnswer::named(Error error) const {
  const std::pair<std::string_view, std::string_view> names[] = {{"/reasoning_effort", effort_}};
  return in_own_names(std::move(error), names);
}

std::string MessageAnswer::failure(const Published& error, std::string_view request_id) {
  return fmt::format("event: error\n{}",
                     sse_event(error_body(error, Shape::Anthropic, request_id)));
}

}  // namespace verge::api::messages
