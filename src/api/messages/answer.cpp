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
  out["content"] = content_;
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
  block_ = block;
  written_.clear();
  return out + event("content_block_start",
                     {{"index", content_.size()}, {"content_block", std::move(block)}});
}

std::string MessageAnswer::close() {
  if (open_ == Block::None) return {};
  std::string out;
  if (open_ == Block::Thinking) out = write("signature_delta", "signature", "");
  out += event("content_block_stop", {{"index", content_.size()}});
  if (open_ == Block::Text) block_["text"] = written_;
  if (open_ == Block::Thinking) block_["thinking"] = written_;
  if (open_ == Block::ToolUse)
    if (auto input = parse_json(written_, kInputDepth)) block_["input"] = std::move(*input);
  content_.push_back(std::move(block_));
  open_ = Block::None;
  return out;
}

std::string MessageAnswer::write(std::string_view type, std::string_view member,
                                 std::string_view piece) {
  const std::string text = lossy_utf8(piece);
  written_ += text;
  json::object delta{{"type", type}, {member, text}};
  return event("content_block_delta", {{"index", content_.size()}, {"delta", std::move(delta)}});
}

std::string MessageAnswer::piece(size_t /*index*/, const protocol::Token& token) {
  std::string out = begin();
  if (token.text.empty()) return out;
  if (open_ != Block::Text) out += open(Block::Text, {{"type", "text"}, {"text", ""}});
  return out + write("text_delta", "text", token.text);
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
    return out + write("input_json_delta", "partial_json", delta.text);
  if (open_ != Block::Thinking)
    out += open(Block::Thinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
  return out + write("thinking_delta", "thinking", delta.text);
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
