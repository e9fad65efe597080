#include "worker/tasks/tool_prompt.h"

#include <fmt/format.h>

#include "support/random.h"

namespace verge::worker {
namespace {

constexpr std::string_view kLetters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr size_t kIdCharacters = 24, kMistralCharacters = 9;

std::string letters_of(std::string_view text, uint64_t more, size_t count) {
  uint64_t h = 0xCBF29CE484222325ull;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001B3ull;
  std::string out;
  for (size_t i = 0; i < count; ++i)
    out += kLetters[random_at(h ^ (more << 32), i) % kLetters.size()];
  return out;
}

bool is_mistral(const engine::tools::Syntax& syntax) {
  return syntax.name().starts_with("mistral");
}

std::string mistral_id(std::string_view id) {
  const bool fits = id.size() == kMistralCharacters && id.find_first_not_of(kLetters) == id.npos;
  return fits ? std::string(id) : letters_of(id, 0, kMistralCharacters);
}

std::string text_of(const json::object& message) {
  return get_string(message, "content").value_or("");
}

std::string instructions(const protocol::Tools& tools) {
  std::string out =
      "# Tools\n\nYou may call functions to answer. They are listed between <tools> and </tools>, "
      "one JSON object a line:\n<tools>\n";
  for (const json::value& tool : template_tools(tools)) out += json::serialize(tool) + "\n";
  out +=
      "</tools>\n\nTo call a function, write its name and arguments as JSON between <tool_call> "
      "and </tool_call>:\n"
      "<tool_call>\n{\"name\": \"NAME\", \"arguments\": {ARGUMENTS}}\n</tool_call>\n"
      "If no function helps, answer with text.";
  return out;
}

}  // namespace

json::object arguments_schema(const protocol::Tool& tool) {
  if (tool.parameters.empty())
    return {{"type", "object"}, {"properties", json::object()}, {"additionalProperties", false}};
  json::object out = tool.parameters;
  static const json::object kNone;
  const json::object* properties =
      out.contains("properties") ? get_object(out, "properties") : &kNone;
  if (!properties || get_string(out, "type") != "object") return out;
  constexpr std::string_view kOfOthers[] = {"additionalProperties",
                                            "patternProperties",
                                            "unevaluatedProperties",
                                            "propertyNames",
                                            "minProperties",
                                            "$ref",
                                            "allOf",
                                            "anyOf",
                                            "oneOf",
                                            "if",
                                            "not",
                                            "dependentRequired",
                                            "dependentSchemas",
                                            "dependencies"};
  for (std::string_view word : kOfOthers)
    if (out.contains(word)) return out;
  if (const json::array* required = get_array(out, "required"))
    for (const json::value& name : *required)
      if (!name.is_string() || !properties->contains(name.get_string())) return out;
  out["additionalProperties"] = false;
  return out;
}

json::array template_tools(const protocol::Tools& tools) {
  json::array out;
  for (const protocol::Tool& tool : tools.tools) {
    json::object parameters = tool.parameters;
    if (parameters.empty()) parameters = {{"type", "object"}, {"properties", json::object()}};
    out.push_back(json::object{{"type", "function"},
                               {"function", json::object{{"name", tool.name},
                                                         {"description", tool.description},
                                                         {"parameters", std::move(parameters)}}}});
  }
  return out;
}

json::array with_written_calls(json::array messages) {
  size_t number = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    json::object& message = messages[i].as_object();
    const json::value* content = message.if_contains("content");
    if (get_string(message, "role") != "assistant" || message.contains("tool_calls") || !content ||
        !content->is_string() || !content->get_string().starts_with('{'))
      continue;
    const Result<json::value> written = parse_json(content->get_string());
    const json::object* call = written ? written->if_object() : nullptr;
    if (!call || call->size() != 2 || !get_string(*call, "name") || !get_object(*call, "arguments"))
      continue;
    json::object* result = nullptr;  // in the same turn, and without an id of its own
    for (size_t k = i + 1; k < messages.size() && !result; ++k) {
      json::object& other = messages[k].as_object();
      if (get_string(other, "role") == "user") break;
      if (get_string(other, "role") == "tool" &&
          get_string(other, "name") == get_string(*call, "name") && !other.contains("tool_call_id"))
        result = &other;
    }
    if (!result) continue;
    const std::string id = fmt::format("call_{}", number++);
    (*result)["tool_call_id"] = id;
    message["tool_calls"] =
        json::array{json::object{{"id", id}, {"type", "function"}, {"function", *call}}};
    message["content"] = "";
  }
  return messages;
}

json::array plain_messages(json::array messages, const protocol::Tools& tools) {
  json::array out;
  bool results = false;  // the last message is one of results
  for (json::value& value : messages) {
    json::object message = std::move(value.as_object());
    const std::string role = get_string(message, "role").value_or("");
    if (role == "tool") {
      const std::string text = "<tool_response>\n" + text_of(message) + "\n</tool_response>";
      if (results) {
        json::value& before = out.back().as_object()["content"];
        before = std::string(std::string_view(before.as_string())) + "\n" + text;
      } else {
        out.push_back(json::object{{"role", "user"}, {"content", text}});
      }
      results = true;
      continue;
    }
    results = false;
    if (const json::array* calls = get_array(message, "tool_calls")) {
      std::vector<engine::tools::Call> written;
      for (const json::value& call : *calls) {
        const json::object& function = call.at("function").as_object();
        written.push_back({std::string(std::string_view(function.at("name").as_string())),
                           json::serialize(function.at("arguments"))});
      }
      const std::string before = text_of(message);
      message["content"] =
          before + (before.empty() ? "" : "\n") + engine::tools::generic_syntax().render(written);
      message.erase("tool_calls");
    }
    out.push_back(std::move(message));
  }
  if (tools.tools.empty()) return out;
  json::object* first = out.empty() ? nullptr : out.front().if_object();
  if (first && get_string(*first, "role") == "system") {
    (*first)["content"] = text_of(*first) + "\n\n" + instructions(tools);
  } else {
    out.insert(out.begin(), json::object{{"role", "system"}, {"content", instructions(tools)}});
  }
  return out;
}

json::array with_ids(json::array messages, const engine::tools::Syntax& syntax) {
  if (!is_mistral(syntax)) return messages;
  for (json::value& value : messages) {
    json::object& message = value.as_object();
    if (auto id = get_string(message, "tool_call_id")) message["tool_call_id"] = mistral_id(*id);
    json::value* calls = message.if_contains("tool_calls");
    if (!calls || !calls->is_array()) continue;
    size_t number = 0;
    for (json::value& call : calls->get_array())
      call.as_object()["id"] = mistral_id(
          get_string(call.get_object(), "id").value_or(fmt::format("call {}", number++)));
  }
  return messages;
}

std::string call_id(const engine::tools::Syntax& syntax, std::string_view request, size_t index,
                    std::string_view name) {
  if (is_mistral(syntax)) return letters_of(request, index + 1, kMistralCharacters);
  if (syntax.name() == "kimi") return fmt::format("functions.{}:{}", name, index);
  return "call_" + letters_of(request, index + 1, kIdCharacters);
}

}  // namespace verge::worker
