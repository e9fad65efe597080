#include "api/tasks/text_answers.h"

#include <algorithm>

#include "api/errors.h"
#include "api/sse.h"
#include "api/tasks/openai_text.h"
#include "api/tasks/text_generation.h"
#include "support/json.h"
#include "support/utf8.h"

namespace verge::api {
namespace {

constexpr size_t kAnswerDepth = 128;  // deeper than a grammar lets an answer be

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// OpenAI's delta of a call: its beginning, or a piece of its arguments.
json::object call_delta(const protocol::Delta& delta) {
  if (delta.kind == protocol::Delta::Kind::Arguments)
    return {{"index", delta.index}, {"function", json::object{{"arguments", delta.text}}}};
  return {{"index", delta.index},
          {"id", delta.id},
          {"type", "function"},
          {"function", json::object{{"name", delta.name}, {"arguments", ""}}}};
}
bool is_call(const protocol::Delta& delta) {
  return delta.kind == protocol::Delta::Kind::Call ||
         delta.kind == protocol::Delta::Kind::Arguments;
}

json::array openai_calls(const std::vector<protocol::ToolCall>& calls) {
  json::array out;
  for (const protocol::ToolCall& call : calls)
    out.push_back(json::object{
        {"id", call.id},
        {"type", "function"},
        {"function", json::object{{"name", call.name}, {"arguments", call.arguments}}}});
  return out;
}

// The native form has the arguments as a value: a call that was cut has none, and is left out.
json::array native_calls(const std::vector<protocol::ToolCall>& calls) {
  json::array out;
  for (const protocol::ToolCall& call : calls)
    if (Result<json::value> value = parse_json(call.arguments, kAnswerDepth);
        value && value->is_object())
      out.push_back(json::object{{"name", call.name}, {"arguments", std::move(*value)}});
  return out;
}

}  // namespace

// ---- Native

json::value NativeText::whole(const std::vector<Answer>& answers) {
  json::object result{{"response", lossy_utf8(answers[0].text)}, {"usage", usage_json(answers[0].usage)}};
  if (json_)
    if (Result<json::value> value = parse_json(answers[0].text, kAnswerDepth)) result["response"] = std::move(*value);
  const protocol::Generated& generated = answers[0].generated;
  if (!generated.reasoning.empty()) result["reasoning_content"] = lossy_utf8(generated.reasoning);
  if (!generated.calls.empty()) {
    if (answers[0].text.empty()) result["response"] = nullptr;
    result["tool_calls"] = native_calls(generated.calls);
  }
  if (tools_)
    result["finish_reason"] = answers[0].finish_reason;  // clients say "stop" where there is none
  if (shape_ == Shape::Rest) return envelope(std::move(result));
  return result;
}

std::optional<Error> NativeText::unmet(const std::vector<Answer>& answers) const {
  if (!json_) return std::nullopt;
  if (answers[0].finish_reason == "tool_calls" && answers[0].text.empty()) return std::nullopt;
  const bool cut = answers[0].finish_reason != "stop";
  if (cut || (!answers[0].text.empty() && !parse_json(answers[0].text, kAnswerDepth))) return json_mode_unmet();
  return std::nullopt;
}

std::string NativeText::piece(size_t /*index*/, const protocol::Token& token) {
  if (token.text.empty()) return {};
  return sse_event(json::object{{"response", lossy_utf8(token.text)}});
}

std::string NativeText::delta(size_t /*index*/, const protocol::Delta& delta) {
  if (is_call(delta)) {
    json::object call = call_delta(delta);
    call.emplace("id", nullptr);
    return sse_event(json::object{{"tool_calls", json::array{std::move(call)}}});
  }
  if (delta.text.empty()) return {};
  const bool text = delta.kind == protocol::Delta::Kind::Text;
  return sse_event(json::object{{text ? "response" : "reasoning_content", lossy_utf8(delta.text)}});
}

std::string NativeText::closing(const std::vector<Answer>& answers) {
  json::object last{{"response", ""}, {"usage", usage_json(answers[0].usage)}};
  if (tools_) last["finish_reason"] = answers[0].finish_reason;
  return sse_event(last) + std::string(kSseDone);
}

std::string NativeText::failure(const Published& error, std::string_view request_id) {
  return sse_event(error_body(error, shape_, request_id));
}

// ---- OpenAI

json::object OpenAiText::head(bool chunk) const {
  std::string_view object = !settings_.chat ? "text_completion" : chunk ? "chat.completion.chunk" : "chat.completion";
  return {{"id", settings_.id}, {"object", object}, {"created", settings_.created}, {"model", settings_.model}};
}

namespace {

json::object message(const Answer& answer) {
  const protocol::Generated& generated = answer.generated;
  json::object out{
      {"role", "assistant"}, {"content", lossy_utf8(answer.text)}, {"refusal", nullptr}};
  if (!generated.reasoning.empty()) out["reasoning_content"] = lossy_utf8(generated.reasoning);
  if (generated.calls.empty()) return out;
  if (answer.text.empty()) out["content"] = nullptr;
  out["tool_calls"] = openai_calls(generated.calls);
  return out;
}

}  // namespace

json::value OpenAiText::whole(const std::vector<Answer>& answers) {
  json::array choices;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Answer& answer = answers[i];
    json::object choice{{"index", i}};
    if (settings_.chat) choice["message"] = message(answer);
    else choice["text"] = std::string(echo(i)) + lossy_utf8(answer.text);
    choice["logprobs"] = settings_.chat ? chat_logprobs(answer.logprobs) : completion_logprobs(answer.logprobs, 0);
    choice["finish_reason"] = answer.finish_reason;
    choices.push_back(std::move(choice));
  }
  json::object body = head(false);
  body["choices"] = std::move(choices);
  body["usage"] = usage_json(total_usage(answers, settings_.answers_a_prompt));
  if (settings_.shape == Shape::Rest) return envelope(std::move(body));
  return body;
}

// One chunk; `text` is what a native route repeats as "response".
std::string OpenAiText::event(json::object choice, std::string_view text) {
  json::object chunk = head(true);
  chunk["choices"] = json::array{std::move(choice)};
  if (settings_.include_usage) chunk["usage"] = nullptr;
  if (settings_.native_route && !text.empty()) chunk["response"] = text;
  return sse_event(chunk);
}

std::string_view OpenAiText::echo(size_t index) const {
  return settings_.echoed.empty() ? std::string_view() : std::string_view(settings_.echoed[index / settings_.answers_a_prompt]);
}

std::string OpenAiText::first(size_t index) {
  if (opened_.size() <= index) {
    opened_.resize(index + 1);
    characters_.resize(index + 1);
  }
  if (opened_[index]) return {};
  opened_[index] = true;
  if (!settings_.chat && settings_.echoed.empty()) return {};
  if (!settings_.chat)
    return event({{"index", index}, {"text", echo(index)}, {"logprobs", nullptr}, {"finish_reason", nullptr}}, "");
  return event({{"index", index},
                {"delta", json::object{{"role", "assistant"}, {"content", ""}}},
                {"logprobs", nullptr},
                {"finish_reason", nullptr}},
               "");
}

std::string OpenAiText::piece(size_t index, const protocol::Token& token) {
  std::string out = first(index);
  if (token.text.empty() && token.logprobs.empty()) return out;
  std::string text = lossy_utf8(token.text);
  json::object choice{{"index", index}};
  if (settings_.chat) choice["delta"] = json::object{{"content", text}};
  else choice["text"] = text;
  choice["logprobs"] = settings_.chat ? chat_logprobs(token.logprobs) : completion_logprobs(token.logprobs, characters_[index]);
  choice["finish_reason"] = nullptr;
  characters_[index] += characters(text);
  return out + event(std::move(choice), text);
}

std::string OpenAiText::delta(size_t index, const protocol::Delta& delta) {
  std::string out = first(index);
  if (!is_call(delta) && delta.text.empty()) return out;
  json::object piece;
  std::string text;
  if (is_call(delta)) {
    piece["tool_calls"] = json::array{call_delta(delta)};
  } else if (delta.kind == protocol::Delta::Kind::Text) {
    text = lossy_utf8(delta.text);
    piece["content"] = text;
  } else {
    piece["reasoning_content"] = lossy_utf8(delta.text);
  }
  return out + event({{"index", index},
                      {"delta", std::move(piece)},
                      {"logprobs", nullptr},
                      {"finish_reason", nullptr}},
                     text);
}

protocol::Usage OpenAiText::usage(const std::vector<Answer>& answers) const { return total_usage(answers, settings_.answers_a_prompt); }

std::string OpenAiText::ending(size_t index, const Answer& answer) {
  std::string out = first(index);
  json::object choice{{"index", index}};
  if (settings_.chat) choice["delta"] = json::object();
  else choice["text"] = "";
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = answer.finish_reason;
  return out + event(std::move(choice), "");
}

std::string OpenAiText::closing(const std::vector<Answer>& answers) {
  json::object usage = usage_json(total_usage(answers, settings_.answers_a_prompt));
  std::string out;
  if (settings_.native_route) {
    out = sse_event(json::object{{"response", ""}, {"usage", std::move(usage)}});
  } else if (settings_.include_usage) {
    json::object chunk = head(true);
    chunk["choices"] = json::array();
    chunk["usage"] = std::move(usage);
    out = sse_event(chunk);
  }
  return out + std::string(kSseDone);
}

std::string OpenAiText::failure(const Published& error, std::string_view request_id) {
  return sse_event(error_body(error, settings_.shape, request_id));
}

}  // namespace verge::api
