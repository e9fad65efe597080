#include "api/responses/request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/errors.h"
#include "api/tasks/openai_text.h"
#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "support/limits.h"
#include "support/responses_limits.h"

namespace verge::api::responses {
namespace {

// Parameters that mean on /v1/chat/completions what they mean here.
constexpr std::string_view kSame[] = {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty", "seed",
                                      "stop", "logit_bias", "ignore_eos", "chat_template_kwargs", "stream", "stream_options", "parallel_tool_calls"};

// Where the chat's parameters come from: errors name what the client wrote. Longer ones first.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"/response_format/json_schema", "/text/format"},
    {"/response_format", "/text/format"},
    {"/max_completion_tokens", "/max_output_tokens"},
    {"/reasoning_effort", "/reasoning/effort"},
};

constexpr std::string_view kIncludes[] = {"message.output_text.logprobs", "reasoning.encrypted_content", "file_search_call.results", "web_search_call.results",
                                          "web_search_call.action.sources", "code_interpreter_call.outputs", "computer_call_output.output.image_url",
                                          "message.input_image.image_url"};

bool continues(std::string_view pointer, std::string_view prefix) {
  return pointer.starts_with(prefix) && (pointer.size() == prefix.size() || pointer[prefix.size()] == '/');
}

std::string own_name(std::string_view pointer, const Chat& chat) {
  constexpr std::string_view kMessages = "/messages/";
  if (pointer.starts_with(kMessages)) {
    const std::string_view rest = pointer.substr(kMessages.size());
    size_t index = 0, digits = 0;
    while (digits < rest.size() && digits < 9 && rest[digits] >= '0' && rest[digits] <= '9') index = index * 10 + static_cast<size_t>(rest[digits++] - '0');
    if (digits && index < chat.places.size()) return chat.places[index] + std::string(rest.substr(digits));
  }
  if (pointer == "/messages") return "/input";
  for (const auto& [chats, own] : kNames)
    if (continues(pointer, chats)) return std::string(own) + std::string(pointer.substr(chats.size()));
  // Tools are flat here.
  std::string out(pointer);
  if (continues(pointer, "/tools") || continues(pointer, "/tool_choice"))
    for (size_t at = out.find("/function"); at != out.npos; at = out.find("/function", at))
      if (at + 9 == out.size() || out[at + 9] == '/') out.erase(at, 9);
      else at += 9;
  return out;
}

Error in_own_names(Error error, const Chat& chat) {
  std::string out;
  std::string_view rest = error.message;
  for (size_t at = rest.find("'/"); at != rest.npos; at = rest.find("'/")) {
    const size_t end = rest.find('\'', at + 2);
    if (end == rest.npos) break;
    out += rest.substr(0, at + 1);
    out += own_name(rest.substr(at + 1, end - at - 1), chat);
    out += '\'';
    rest.remove_prefix(end + 1);
  }
  error.message = out + std::string(rest);
  return error;
}

Result<void> read_metadata(Params& in) {
  const json::object* metadata = in.object("metadata");
  if (!metadata) return {};
  if (metadata->size() > limits::kLabels) return fail(Code::InvalidInput, "maxProperties at '/metadata' is {}, got {}", limits::kLabels, metadata->size());
  for (const auto& [key, value] : *metadata) {
    if (key.size() > limits::kLabelKeyBytes) return fail(Code::InvalidInput, "Length of the keys of '/metadata' must be <= {}", limits::kLabelKeyBytes);
    if (!value.is_string()) return fail(Code::InvalidInput, "Type mismatch of a member of '/metadata', 'string' not in '{}'", type_name(value));
    if (value.get_string().size() > limits::kLabelValueBytes)
      return fail(Code::InvalidInput, "Length of the values of '/metadata' must be <= {}", limits::kLabelValueBytes);
  }
  return {};
}

Result<void> read_include(Params& in, Request& out) {
  const json::value* include = in.find("include");
  if (!include) return {};
  if (!include->is_array()) return fail(Code::InvalidInput, "Type mismatch of '/include', 'array' not in '{}'", type_name(*include));
  for (size_t i = 0; i < include->get_array().size(); ++i) {
    const json::value& one = include->get_array()[i];
    if (!one.is_string()) return fail(Code::InvalidInput, "Type mismatch of '/include/{}', 'string' not in '{}'", i, type_name(one));
    const std::string_view name = one.get_string();
    if (std::ranges::find(kIncludes, name) == std::end(kIncludes)) return fail(Code::InvalidInput, "enum {:.64} not in {} at '/include/{}'", name, fmt::join(kIncludes, ","), i);
    if (name == kIncludes[0]) out.logprobs = true;
  }
  return {};
}

// {"effort", "summary"}: thoughts come as they are, in the item's content, so that "auto" leaves the summary out.
Result<void> check_reasoning(Params& in) {
  const json::object* reasoning = in.object("reasoning");
  if (!reasoning) return {};
  Params inner(*reasoning);
  for (const char* name : {"summary", "generate_summary"})
    if (const auto summary = inner.text(name); summary && *summary != "auto")
      return not_built(fmt::format("/reasoning/{}", name), "only \"auto\" is: thoughts are answered as they are, in the item's 'content'");
  (void)inner.text("effort");
  if (!inner.ok()) return fail(Code::InvalidInput, "Type mismatch of a member of '/reasoning', 'string' not in another type");
  for (const auto& [key, value] : *reasoning)
    if (key != "effort" && key != "summary" && key != "generate_summary" && !value.is_null()) return not_built(fmt::format("/reasoning/{:.64}", std::string_view(key)));
  return {};
}

// text: {"format": …, "verbosity": …}
Result<void> check_text(Params& in) {
  const json::object* text = in.object("text");
  if (!text) return {};
  for (const auto& [key, value] : *text) {
    if (value.is_null()) continue;
    if (key == "format") {
      if (!value.is_object()) return fail(Code::InvalidInput, "Type mismatch of '/text/format', 'object' not in '{}'", type_name(value));
    } else if (key != "verbosity" || value != "medium") {
      return not_built(fmt::format("/text/{:.64}", std::string_view(key)), key == "verbosity" ? "only \"medium\" is" : "");
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

// {type: function, name, description, parameters, strict} -> {type, function: {…}}
Result<json::array> chat_tools(const json::array& tools) {
  json::array out;
  for (size_t i = 0; i < tools.size(); ++i) {
    const json::object* tool = tools[i].if_object();
    if (!tool) return fail(Code::InvalidInput, "Type mismatch of '/tools/{}', 'object' not in '{}'", i, type_name(tools[i]));
    const auto type = get_string(*tool, "type");
    if (!type) return fail(Code::InvalidInput, "required properties at '/tools/{}' are 'type,name'", i);
    if (*type != "function") return not_built(fmt::format("/tools/{}/type", i), fmt::format("tools of type {:.64}; send functions, and call them yourself", *type));
    if (tool->contains("function")) {
      out.push_back(*tool);  // the chat route's form, which clients of both send
      continue;
    }
    json::object function;
    for (const auto& [key, value] : *tool)
      if (key != "type") function[key] = value;
    out.push_back(json::object{{"type", "function"}, {"function", std::move(function)}});
  }
  return out;
}

Result<json::value> chat_choice(const json::value& choice) {
  const json::object* object = choice.if_object();
  if (!object) return choice;
  const std::string type = get_string(*object, "type").value_or("");
  if (type == "function" && object->contains("name")) return json::value(json::object{{"type", "function"}, {"function", json::object{{"name", object->at("name")}}}});
  if (type == "function") return choice;
  if (type != "allowed_tools") return not_built("/tool_choice/type", fmt::format("{:.64}; function and allowed_tools are", type));
  json::object allowed;
  for (const auto& [key, value] : *object)
    if (key == "mode") allowed["mode"] = value;
  if (const json::array* tools = get_array(*object, "tools")) {
    json::array list;
    for (const json::value& tool : *tools) {
      const json::object* one = tool.if_object();
      if (one && one->contains("name")) list.push_back(json::object{{"type", "function"}, {"function", json::object{{"name", one->at("name")}}}});
      else list.push_back(tool);
    }
    allowed["tools"] = std::move(list);
  }
  if (const json::object* wrapped = get_object(*object, "allowed_tools")) allowed = *wrapped;
  return json::value(json::object{{"type", "allowed_tools"}, {"allowed_tools", std::move(allowed)}});
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
  out.previous = in.text("previous_response_id").value_or("");
  out.store = in.flag("store").value_or(true);
  (void)in.text("instructions");
  (void)in.flag("parallel_tool_calls");
  if (!in.ok()) return in.error();
  if (out.previous.size() > limits::kItemIdBytes) return fail(Code::InvalidInput, "Length of '/previous_response_id' must be <= {}", limits::kItemIdBytes);
  VERGE_TRY(read_metadata(in));
  VERGE_TRY(read_include(in, out));
  VERGE_TRY(check_reasoning(in));
  VERGE_TRY(check_text(in));
  if (!in.ok()) return in.error();
  if (const json::value* input = in.find("input")) {
    VERGE_ASSIGN(items, read_input(*input, seed, out.ignored));
    out.input = std::move(items);
  }
  if (out.input.list.empty() && out.previous.empty()) return fail(Code::InvalidInput, "required properties at '/' are 'input'");
  out.body = std::move(body);
  return out;
}

Result<TextRequest> to_text(const Request& request, const Items& items, const catalogue::Entry& entry) {
  const json::object& body = request.body;
  Params in(body);
  VERGE_ASSIGN(chat, to_chat(in.text("instructions"), items));
  if (chat.messages.empty()) return fail(Code::InvalidInput, "minItems at '/input' is 1, got 0");
  json::object sent;
  for (std::string_view name : kSame)
    if (const json::value* value = in.find(name)) sent[name] = *value;
  if (const json::value* most = in.find("max_output_tokens")) {
    if (in.integer("max_output_tokens", 1, INT64_MAX)) sent["max_completion_tokens"] = *most;
  }
  if (const json::object* text = in.object("text"))
    if (const json::object* format = get_object(*text, "format")) sent["response_format"] = chat_format(*format);
  if (const json::object* reasoning = in.object("reasoning"))
    if (const auto effort = get_string(*reasoning, "effort")) sent["reasoning_effort"] = *effort;
  if (request.logprobs || in.find("top_logprobs")) {
    sent["logprobs"] = true;
    if (const json::value* top = in.find("top_logprobs")) sent["top_logprobs"] = *top;
  }
  if (const json::value* tools = in.find("tools")) {
    if (!tools->is_array()) return fail(Code::InvalidInput, "Type mismatch of '/tools', 'array' not in '{}'", type_name(*tools));
    VERGE_ASSIGN(list, chat_tools(tools->get_array()));
    sent["tools"] = std::move(list);
  }
  if (const json::value* choice = in.find("tool_choice")) {
    VERGE_ASSIGN(named, chat_choice(*choice));
    sent["tool_choice"] = std::move(named);
  }
  if (!in.ok()) return in.error();
  sent["messages"] = std::move(chat.messages);
  auto text = parse_openai_chat(sent, entry);
  if (!text) return in_own_names(text.error(), chat);
  // The worker's errors quote it.
  if (json::value* grammar = text->params.if_contains("grammar")) {
    json::value& at = grammar->as_object()["at"];
    at = own_name(std::string_view(at.as_string()), chat);
  }
  for (std::string& name : text->ignored)
    if (name.starts_with("messages.")) name = "input." + name.substr(9);
  return text;
}

json::object response_json(const Request& request, const TextRequest& text, std::string_view id, int64_t now_s) {
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
  for (const char* name : {"instructions", "max_output_tokens", "max_tool_calls"}) out[name] = or_null(body, name);
  out["model"] = request.model;
  out["output"] = json::array();
  out["parallel_tool_calls"] = in.flag("parallel_tool_calls").value_or(true);
  out["previous_response_id"] = request.previous.empty() ? json::value(nullptr) : json::value(request.previous);
  out["prompt_cache_key"] = or_null(body, "prompt_cache_key");
  json::object reasoning{{"effort", nullptr}, {"summary", nullptr}};
  if (const json::object* sent = get_object(body, "reasoning"))
    for (const char* name : {"effort", "summary"}) reasoning[name] = or_null(*sent, name);
  out["reasoning"] = std::move(reasoning);
  out["safety_identifier"] = or_null(body, "safety_identifier");
  out["service_tier"] = "default";
  out["store"] = request.store;
  out["temperature"] = text.params.at("temperature");
  json::object format{{"type", "text"}};
  if (const json::object* sent = get_object(body, "text"))
    if (const json::object* named = get_object(*sent, "format")) format = *named;
  out["text"] = json::object{{"format", std::move(format)}, {"verbosity", "medium"}};
  const json::value* choice = in.find("tool_choice");
  out["tool_choice"] = choice ? *choice : json::value("auto");
  const json::value* tools = in.find("tools");
  out["tools"] = tools ? *tools : json::value(json::array());
  for (json::value& tool : out["tools"].as_array())
    if (json::object* one = tool.if_object()) {
      for (const char* name : {"description", "parameters"}) one->emplace(name, nullptr);
      one->emplace("strict", nullptr);
    }
  out["top_logprobs"] = in.integer("top_logprobs", 0, limits::kTopLogprobs).value_or(0);
  const json::value* top_p = text.params.if_contains("top_p");
  out["top_p"] = top_p ? *top_p : json::value(1);
  for (const char* name : {"presence_penalty", "frequency_penalty"}) {
    const json::value* value = text.params.if_contains(name);
    out[name] = value ? *value : json::value(0);
  }
  out["truncation"] = "disabled";
  out["usage"] = nullptr;
  out["user"] = or_null(body, "user");
  const json::object* metadata = get_object(body, "metadata");
  out["metadata"] = metadata ? *metadata : json::object();
  return out;
}

}  // namespace verge::api::responses
