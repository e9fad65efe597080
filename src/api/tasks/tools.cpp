#include "api/tasks/tools.h"

#include <algorithm>
#include <set>

#include "api/errors.h"
#include "api/tasks/fields.h"
#include "support/tool_limits.h"

namespace verge::api {
namespace {

bool is_blank(const json::value& value) {
  return (value.is_array() && value.get_array().empty()) ||
         (value.is_object() && value.get_object().empty()) ||
         (value.is_string() && value.get_string().empty());
}

// Letters, digits and -_.:/ : the model's own marks around a name have none of them.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kToolNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  std::string_view("-_.:/").find(c) != std::string_view::npos;
         });
}

// {type: "function", function: {name}} | {type: "function", name} | {name}
std::optional<std::string> chosen_name(const json::object& choice) {
  if (const json::object* function = get_object(choice, "function"))
    return get_string(*function, "name");
  return get_string(choice, "name");
}

class ChoiceReader {
 public:
  explicit ChoiceReader(protocol::Tools& tools) : tools_(tools) {}

  Result<void> read(const json::value& value) {
    if (value.is_string()) return mode(std::string_view(value.get_string()), "/tool_choice");
    const json::object* choice = value.if_object();
    if (!choice) return mismatch("/tool_choice", "string", value);
    VERGE_TRY(check_type(*choice, "type", FieldType::Text, "/tool_choice"));
    const std::string type = get_string(*choice, "type").value_or("function");
    if (type == "auto" || type == "none" || type == "required" || type == "any")
      return mode(type, "/tool_choice/type");
    if (type == "allowed_tools") return allowed(*choice);
    if (type == "function" || type == "tool") {
      const bool nested = choice->contains("function");
      const std::string at = nested ? "/tool_choice/function" : "/tool_choice";
      const auto name = chosen_name(*choice);
      if (!name) return fail_at(Code::InvalidInput, std::string(at), "required properties at '{}' are 'name'", at);
      VERGE_TRY(add(*name, at + "/name"));
      tools_.choice.mode = protocol::ToolMode::Required;
      tools_.parallel = false;
      return {};
    }
    return fail_at(Code::InvalidInput, "/tool_choice/type",
                "enum {:.32} not in function,allowed_tools at '/tool_choice/type'", type);
  }

 private:
  Result<void> mode(std::string_view name, std::string_view at) {
    if (name == "auto") tools_.choice.mode = protocol::ToolMode::Auto;
    else if (name == "none") tools_.choice.mode = protocol::ToolMode::None;
    else if (name == "required" || name == "any") tools_.choice.mode = protocol::ToolMode::Required;
    else return fail_at(Code::InvalidInput, std::string(at), "enum {:.32} not in auto,none,required at '{}'", name, at);
    return {};
  }

  Result<void> add(const std::string& name, const std::string& at) {
    const bool known = std::any_of(tools_.tools.begin(), tools_.tools.end(),
                                   [&](const auto& tool) { return tool.name == name; });
    if (!known)
      return fail_at(Code::InvalidInput, std::string(at), "'{}' names no tool of '/tools': '{:.64}'", at, name);
    tools_.choice.names.push_back(name);
    return {};
  }

  // {type: "allowed_tools", mode, tools: [{type: "function", name}]}, chat completions nest both in
  // `allowed_tools`.
  Result<void> allowed(const json::object& choice) {
    const json::object* inner = get_object(choice, "allowed_tools");
    const std::string at = inner ? "/tool_choice/allowed_tools" : "/tool_choice";
    if (!inner) inner = &choice;
    VERGE_TRY(check_type(*inner, "mode", FieldType::Text, at));
    const std::string wanted = get_string(*inner, "mode").value_or("auto");
    if (wanted != "auto" && wanted != "required")
      return fail_at(Code::InvalidInput, fmt::format("{}/mode", at), "enum {:.32} not in auto,required at '{}/mode'", wanted, at);
    VERGE_TRY(mode(wanted, at));
    const json::array* list = get_array(*inner, "tools");
    if (!list || list->empty())
      return fail_at(Code::InvalidInput, fmt::format("{}/tools", at), "minItems at '{}/tools' is 1, got 0", at);
    for (size_t i = 0; i < list->size(); ++i) {
      const std::string place = fmt::format("{}/tools/{}", at, i);
      const json::object* one = (*list)[i].if_object();
      if (!one) return mismatch(place, "object", (*list)[i]);
      const auto name = chosen_name(*one);
      if (!name) return fail_at(Code::InvalidInput, std::string(place), "required properties at '{}' are 'name'", place);
      VERGE_TRY(add(*name, place));
    }
    return {};
  }

  protocol::Tools& tools_;
};

Result<protocol::Tools> read_list(const json::value& value) {
  const json::array* list = value.if_array();
  if (!list) return mismatch("/tools", "array", value);
  if (list->size() > limits::kTools)
    return fail_at(Code::InvalidInput, "/tools", "maxItems at '/tools' is {}, got {}", limits::kTools,
                list->size());
  protocol::Tools out;
  std::set<std::string> names;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string at = fmt::format("/tools/{}", i);
    VERGE_ASSIGN(tool, read_tool((*list)[i], at));
    if (!names.insert(tool.name).second)
      return fail_at(Code::InvalidInput, std::string(at), "'{}' has the name of an earlier tool: '{}'", at, tool.name);
    out.tools.push_back(std::move(tool));
  }
  return out;
}

}  // namespace

Result<protocol::Tool> read_tool(const json::value& value, std::string_view at) {
  const json::object* item = value.if_object();
  if (!item) return mismatch(at, "object", value);
  VERGE_TRY(check_type(*item, "type", FieldType::Text, at));
  const std::string type = get_string(*item, "type").value_or("function");
  if (type != "function")
    return not_built(fmt::format("{}/type", at),
                     fmt::format("tools of type {:.32}; only functions are", type));
  const json::value* nested = item->if_contains("function");
  if (nested && !nested->is_object())
    return mismatch(fmt::format("{}/function", at), "object", *nested);
  const json::object& function = nested ? nested->get_object() : *item;
  const std::string place = nested ? fmt::format("{}/function", at) : std::string(at);
  protocol::Tool out;
  out.at = place + "/parameters";
  const json::value* name = function.if_contains("name");
  if (!name || name->is_null())
    return fail_at(Code::InvalidInput, std::string(place), "required properties at '{}' are 'name'", place);
  if (!name->is_string()) return mismatch(place + "/name", "string", *name);
  out.name = name->get_string();
  if (!is_name(out.name))
    return fail_at(Code::InvalidInput, fmt::format("{}/name", place),
                "'{}/name' must have 1 to {} letters, digits, '_', '-', '.', ':' or '/'", place,
                limits::kToolNameBytes);
  if (const json::value* text = function.if_contains("description"); text && !text->is_null()) {
    if (!text->is_string()) return mismatch(place + "/description", "string", *text);
    out.description = text->get_string();
  }
  VERGE_TRY(check_type(function, "strict", FieldType::Flag, place));
  if (nested) VERGE_TRY(check_type(*item, "strict", FieldType::Flag, at));
  if (const json::value* schema = function.if_contains("parameters");
      schema && !schema->is_null()) {
    if (!schema->is_object()) return mismatch(out.at, "object", *schema);
    out.parameters = schema->get_object();
  }
  return out;
}

void read_tools(Params& in, TextRequest& out) {
  protocol::Tools tools;
  if (const json::value* list = in.find("tools"); list && !is_blank(*list)) {
    auto read = read_list(*list);
    if (!read) return in.refuse(std::move(read.error()));
    tools = std::move(*read);
  }
  const auto parallel = in.flag("parallel_tool_calls");
  const json::value* choice = in.find("tool_choice");
  if (choice && is_blank(*choice)) choice = nullptr;
  if (tools.tools.empty()) {
    const bool nothing = !choice || *choice == "auto" || *choice == "none";
    if (!nothing) in.refuse(fail_at(Code::InvalidInput, "/tool_choice", "'/tool_choice' needs '/tools'"));
    return;
  }
  tools.parallel = parallel.value_or(true);
  if (choice)
    if (Result<void> read = ChoiceReader(tools).read(*choice); !read)
      return in.refuse(std::move(read.error()));
  if (tools.choice.mode != protocol::ToolMode::None) {
    // What would leave a call half written, or end where no call may.
    for (const auto& [name, set] : {std::pair{"stop", !out.params.stop.empty()}, {"ignore_eos", out.params.ignore_eos}})
      if (set)
        return in.refuse(
            fail_at(Code::InvalidInput, fmt::format("/{}", name),
                 "'/{}' can't be met beside '/tools': it would cut a call, or add to one", name));
  }
  out.params.tools = std::move(tools);
}

Result<json::array> read_calls(const json::value& value, std::string_view at) {
  const json::array* list = value.if_array();
  if (!list) return mismatch(at, "array", value);
  if (list->size() > limits::kCallsOfMessage)
    return fail_at(Code::InvalidInput, std::string(at), "maxItems at '{}' is {}, got {}", at, limits::kCallsOfMessage,
                list->size());
  json::array out;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string place = fmt::format("{}/{}", at, i);
    const json::object* item = (*list)[i].if_object();
    if (!item) return mismatch(place, "object", (*list)[i]);
    const json::object* function = get_object(*item, "function");
    const std::string inner = function ? place + "/function" : place;
    if (!function) function = item;
    const auto name = get_string(*function, "name");
    if (!name || name->empty())
      return fail_at(Code::InvalidInput, std::string(inner), "required properties at '{}' are 'name,arguments'", inner);
    json::object arguments;
    if (const json::value* given = function->if_contains("arguments"); given && !given->is_null()) {
      if (given->is_object()) {
        arguments = given->get_object();
      } else if (!given->is_string()) {
        return mismatch(inner + "/arguments", "string", *given);
      } else if (std::string_view text = given->get_string();
                 text.find_first_not_of(" \t\r\n") != text.npos) {
        auto parsed = parse_json(text);
        if (!parsed || !parsed->is_object())
          return fail_at(Code::InvalidInput, fmt::format("{}/arguments", inner), "'{}/arguments' must be the text of a JSON object{}",
                      inner, parsed ? "" : ": " + parsed.error().message);
        arguments = std::move(parsed->get_object());
      }
    }
    json::object call{
        {"type", "function"},
        {"function", json::object{{"name", *name}, {"arguments", std::move(arguments)}}}};
    if (auto id = get_string(*item, "id"); id && !id->empty()) call["id"] = *id;
    out.push_back(std::move(call));
  }
  return out;
}

}  // namespace verge::api
