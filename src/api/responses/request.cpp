#include "api/responses/request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/errors.h"
#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "support/limits.h"
#include "support/responses_limits.h"

namespace verge::api::responses {
namespace {

// Beside those of copy_same().
constexpr std::string_view kSame[] = {"stop", "stream_options", "tools", "tool_choice",
                                      "parallel_tool_calls"};

constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"/messages", "/input"},
    {"/response_format/json_schema", "/text/format"},
    {"/response_format", "/text/format"},
    {"/max_completion_tokens", "/max_output_tokens"},
    {"/reasoning_effort", "/reasoning/effort"},
};

constexpr std::string_view kIncludes[] = {"message.output_text.logprobs",
                                          "reasoning.encrypted_content",
                                          "file_search_call.results",
                                          "web_search_call.results",
                                          "web_search_call.action.sources",
                                          "code_interpreter_call.outputs",
                                          "computer_call_output.output.image_url",
                                          "message.input_image.image_url"};

size_t characters(std::string_view text) {
  const auto begins = [](char c) { return (c & 0xC0) != 0x80; };
  return static_cast<size_t>(std::ranges::count_if(text, begins));
}

Result<void> read_metadata(Params& in) {
  const json::object* metadata = in.object("metadata");
  if (!metadata) return {};
  if (metadata->size() > limits::kLabels)
    return fail_at(Code::InvalidInput, "/metadata", "maxProperties at '/metadata' is {}, got {}", limits::kLabels,
                metadata->size());
  for (const auto& [key, value] : *metadata) {
    if (characters(key) > limits::kLabelKeyLength)
      return fail_at(Code::InvalidInput, "/metadata", "Length of the keys of '/metadata' must be <= {}",
                  limits::kLabelKeyLength);
    if (!value.is_string())
      return fail_at(Code::InvalidInput, "/metadata",
                  "Type mismatch of a member of '/metadata', 'string' not in '{}'",
                  type_name(value));
    if (characters(value.get_string()) > limits::kLabelValueLength)
      return fail_at(Code::InvalidInput, "/metadata", "Length of the values of '/metadata' must be <= {}",
                  limits::kLabelValueLength);
  }
  return {};
}

Result<void> read_include(Params& in, Request& out) {
  const json::value* include = in.find("include");
  if (!include) return {};
  if (!include->is_array())
    return fail_at(Code::InvalidInput, "/include", "Type mismatch of '/include', 'array' not in '{}'",
                type_name(*include));
  for (size_t i = 0; i < include->get_array().size(); ++i) {
    const json::value& one = include->get_array()[i];
    if (!one.is_string())
      return fail_at(Code::InvalidInput, fmt::format("/include/{}", i), "Type mismatch of '/include/{}', 'string' not in '{}'", i,
                  type_name(one));
    const std::string_view name = one.get_string();
    if (std::ranges::find(kIncludes, name) == std::end(kIncludes))
      return fail_at(Code::InvalidInput, fmt::format("/include/{}", i), "enum {:.64} not in {} at '/include/{}'", name,
                  fmt::join(kIncludes, ","), i);
    if (name == kIncludes[0]) out.logprobs = true;
  }
  return {};
}

// {"effort", "summary"}: thoughts come as they are, in the item's content, so that "auto" leaves
// the summary out.
Result<void> check_reasoning(Params& in) {
  const json::object* reasoning = in.object("reasoning");
  if (!reasoning) return {};
  Params inner(*reasoning);
  for (const char* name : {"summary", "generate_summary"})
    if (const auto summary = inner.text(name); summary && *summary != "auto")
      return not_built(
          fmt::format("/reasoning/{}", name),
          "only \"auto\" is: thoughts are answered as they are, in the item's 'content'");
  (void)inner.text("effort");
  if (!inner.ok())
    return fail_at(Code::InvalidInput, "/reasoning",
                "Type mismatch of a member of '/reasoning', 'string' not in another type");
  for (const auto& [key, value] : *reasoning)
    if (key != "effort" && key != "summary" && key != "generate_summary" && !value.is_null())
      return not_built(fmt::format("/reasoning/{:.64}", std::string_view(key)));
  return {};
}

// text: {"format": …, "verbosity": …}
Result<void> check_text(Params& in) {
  const json::object* text = in.object("text");
  if (!text) return {};
  for (const auto& [key, value] : *text) {
    if (value.is_null()) continue;
    if (key == "format") {
      if (!value.is_object())
        return fail_at(Code::InvalidInput, "/text/format", "Type mismatch of '/text/format', 'object' not in '{}'",
                    type_name(value));
    } else if (key != "verbosity" || value != "medium") {
      return not_built(fmt::format("/text/{:.64}", std::string_view(key)),
                       key == "verbosity" ? "only \"medium\" is" : "");
    }
  }
  return {};
}

// {type: json_schema, name, schema, strict} -> {type, json_schema: {name, schema, strict}}
json::value chat_format(const json::object& format) {
  if (get_string(format, "type") != "json_schema") return format;
  json::object inner;
  for (const auto& [key, value] : format)
    if (key != "type") inner[key] = value;
  return json::object{{"type", "json_schema"}, {"json_schema", std::move(inner)}};
}

json::value or_null(const json::object& body, std::string_view name) {
  const json::value* value = body.if_contains(name);
  return value ? *value : json::value(nullptr);
}

}  // namespace

Result<Request> read_request(json::object body, std::string_view seed) {
  Request out;
  VERGE_ASSIGN(ignored, check_parameters(Surface::Responses, body));
  out.ignored = std::move(ignored);
  Params in(body);
  const auto previous = in.text("previous_response_id");
  // An empty variable of the client would begin a new conversation without a word.
  if (previous && previous->empty())
    return fail_at(Code::InvalidInput, "/previous_response_id", "Length of '/previous_response_id' must be >= 1, but got 0");
  out.previous = previous.value_or("");
  out.store = in.flag("store").value_or(true);
  (void)in.text("instructions");
  (void)in.flag("parallel_tool_calls");
  if (!in.ok()) return in.error();
  if (out.previous.size() > limits::kItemIdBytes)
    return fail_at(Code::InvalidInput, "/previous_response_id", "Length of '/previous_response_id' must be <= {}",
                limits::kItemIdBytes);
  VERGE_TRY(read_metadata(in));
  VERGE_TRY(read_include(in, out));
  VERGE_TRY(check_reasoning(in));
  VERGE_TRY(check_text(in));
  if (!in.ok()) return in.error();
  if (const json::value* input = in.find("input")) {
    VERGE_ASSIGN(items, read_input(*input, seed, out.ignored));
    out.input = std::move(items);
  }
  if (out.input.list.empty() && out.previous.empty())
    return fail(Code::InvalidInput, "required properties at '/' are 'input'");
  out.body = std::move(body);
  return out;
}

Result<TextRequest> to_text(const Request& request, const Items& items,
                            const catalogue::Entry& entry) {
  const json::object& body = request.body;
  Params in(body);
  VERGE_ASSIGN(chat, to_chat(in.text("instructions"), items));
  if (chat.messages.empty()) return fail_at(Code::InvalidInput, "/input", "minItems at '/input' is 1, got 0");
  json::object sent;
  copy_same(body, sent);
  for (std::string_view name : kSame)
    if (const json::value* value = in.find(name)) sent[name] = *value;
  if (const json::value* most = in.find("max_output_tokens")) {
    if (in.integer("max_output_tokens", 1, INT64_MAX)) sent["max_completion_tokens"] = *most;
  }
  if (const json::object* text = in.object("text"))
    if (const json::object* format = get_object(*text, "format"))
      sent["response_format"] = chat_format(*format);
  if (const json::object* reasoning = in.object("reasoning"))
    if (const auto effort = get_string(*reasoning, "effort")) sent["reasoning_effort"] = *effort;
  if (request.logprobs || in.find("top_logprobs")) {
    sent["logprobs"] = true;
    if (const json::value* top = in.find("top_logprobs")) sent["top_logprobs"] = *top;
  }
  if (!in.ok()) return in.error();
  auto text = parse_as_chat(std::move(sent), std::move(chat), entry, kNames);
  if (!text) return text.error();
  for (std::string& name : text->ignored)
    if (name.starts_with("messages.")) name = "input." + name.substr(9);
  return text;
}

json::object response_json(const Request& request, const TextRequest& text, std::string_view id,
                           int64_t now_s) {
  const json::object& body = request.body;
  Params in(body);
  json::object out{{"id", id},
                   {"object", "response"},
                   {"created_at", now_s},
                   {"status", "in_progress"},
                   {"background", false},
                   {"completed_at", nullptr},
                   {"error", nullptr},
                   {"incomplete_details", nullptr}};
  for (const char* name : {"instructions", "max_output_tokens", "max_tool_calls"})
    out[name] = or_null(body, name);
  out["model"] = request.model;
  out["output"] = json::array();
  out["parallel_tool_calls"] = in.flag("parallel_tool_calls").value_or(true);
  out["previous_response_id"] =
      request.previous.empty() ? json::value(nullptr) : json::value(request.previous);
  out["prompt_cache_key"] = or_null(body, "prompt_cache_key");
  json::object reasoning{{"effort", nullptr}, {"summary", nullptr}};
  if (const json::object* sent = get_object(body, "reasoning"))
    for (const char* name : {"effort", "summary"}) reasoning[name] = or_null(*sent, name);
  out["reasoning"] = std::move(reasoning);
  out["safety_identifier"] = or_null(body, "safety_identifier");
  out["service_tier"] = "default";
  out["store"] = request.store;
  out["temperature"] = *text.params.temperature;
  json::object format{{"type", "text"}};
  if (const json::object* sent = get_object(body, "text"))
    if (const json::object* named = get_object(*sent, "format")) format = *named;
  out["text"] = json::object{{"format", std::move(format)}, {"verbosity", "medium"}};
  const json::value* choice = in.find("tool_choice");
  const bool chosen = choice && ((choice->is_string() && !choice->get_string().empty()) ||
                                 (choice->is_object() && !choice->get_object().empty()));
  out["tool_choice"] = chosen ? *choice : json::value("auto");
  const json::value* tools = in.find("tools");
  out["tools"] = tools && tools->is_array() ? *tools : json::value(json::array());
  for (json::value& tool : out["tools"].as_array())
    if (json::object* one = tool.if_object()) {
      if (const json::object* nested = get_object(*one, "function")) {  // the chat route's form
        const json::object function = *nested;
        one->erase("function");
        for (const auto& [key, value] : function) (*one)[key] = value;
      }
      one->emplace("type", "function");
      for (const char* name : {"description", "parameters"}) one->emplace(name, nullptr);
      one->emplace("strict", nullptr);
    }
  out["top_logprobs"] = in.integer("top_logprobs", 0, limits::kTopLogprobs).value_or(0);
  const auto number = [](std::optional<double> sent, int otherwise) {
    return sent ? json::value(*sent) : json::value(otherwise);
  };
  out["top_p"] = number(text.params.top_p, 1);
  out["presence_penalty"] = number(text.params.presence_penalty, 0);
  out["frequency_penalty"] = number(text.params.frequency_penalty, 0);
  out["truncation"] = "disabled";
  out["usage"] = nullptr;
  out["user"] = or_null(body, "user");
  const json::object* metadata = get_object(body, "metadata");
  out["metadata"] = metadata ? *metadata : json::object();
  return out;
}

}  // namespace verge::api::responses
