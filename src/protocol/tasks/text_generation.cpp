#include "protocol/tasks/text_generation.h"

namespace verge::protocol {
namespace {

constexpr const char* kModes[] = {"auto", "none", "required"};

}  // namespace

void put_tools(const Tools& tools, json::object& params) {
  if (tools.tools.empty()) return;
  json::array list, names;
  for (const Tool& tool : tools.tools)
    list.push_back(json::object{{"name", tool.name},
                                {"description", tool.description},
                                {"parameters", tool.parameters},
                                {"at", tool.at}});
  for (const std::string& name : tools.choice.names) names.push_back(json::value(name));
  params["tools"] = std::move(list);
  params["tool_choice"] = json::object{{"mode", kModes[static_cast<size_t>(tools.choice.mode)]},
                                       {"names", std::move(names)}};
  params["parallel_tool_calls"] = tools.parallel;
}

verge::Result<Tools> get_tools(const json::object& params) {
  Tools out;
  const json::array* list = get_array(params, "tools");
  if (!list) return out;
  for (const json::value& item : *list) {
    const json::object* tool = item.if_object();
    const auto name = tool ? get_string(*tool, "name") : std::nullopt;
    const json::object* parameters = tool ? get_object(*tool, "parameters") : nullptr;
    if (!name || !parameters)
      return fail(Code::InvalidInput, "a tool without a name and parameters");
    out.tools.push_back({*name, get_string(*tool, "description").value_or(""), *parameters,
                         get_string(*tool, "at").value_or("")});
  }
  out.parallel = get_bool(params, "parallel_tool_calls").value_or(true);
  const json::object* choice = get_object(params, "tool_choice");
  if (!choice) return out;
  const std::string mode = get_string(*choice, "mode").value_or("");
  bool known = false;
  for (size_t i = 0; i < std::size(kModes); ++i) {
    if (mode != kModes[i]) continue;
    out.choice.mode = static_cast<ToolMode>(i);
    known = true;
  }
  if (!known)
    return fail(Code::InvalidInput, "a tool_choice of the mode '{:.32}' is not known", mode);
  if (const json::array* names = get_array(*choice, "names"))
    for (const json::value& name : *names)
      if (name.is_string()) out.choice.names.emplace_back(name.get_string());
  return out;
}

json::value to_json(const Delta& delta) {
  switch (delta.kind) {
    case Delta::Kind::Text: return json::object{{"text", delta.text}};
    case Delta::Kind::Reasoning: return json::object{{"reasoning", delta.text}};
    case Delta::Kind::Call:
      return json::object{{"call", delta.index}, {"id", delta.id}, {"name", delta.name}};
    case Delta::Kind::Arguments:
      return json::object{{"call", delta.index}, {"arguments", delta.text}};
  }
  return nullptr;
}

std::optional<Delta> delta_from_json(const json::value& value) {
  const json::object* o = value.if_object();
  if (!o) return std::nullopt;
  Delta out;
  if (const auto index = get_int(*o, "call")) {
    if (*index < 0) return std::nullopt;
    out.index = static_cast<size_t>(*index);
    if (auto text = get_string(*o, "arguments")) {
      out.kind = Delta::Kind::Arguments;
      out.text = std::move(*text);
      return out;
    }
    out.kind = Delta::Kind::Call;
    out.id = get_string(*o, "id").value_or("");
    out.name = get_string(*o, "name").value_or("");
    return out;
  }
  for (const auto& [key, kind] :
       {std::pair{"text", Delta::Kind::Text}, std::pair{"reasoning", Delta::Kind::Reasoning}}) {
    auto text = o->size() == 1 ? get_string(*o, key) : std::nullopt;
    if (!text) continue;
    out.kind = kind;
    out.text = std::move(*text);
    return out;
  }
  return std::nullopt;
}

void Generated::add(const Delta& delta) {
  switch (delta.kind) {
    case Delta::Kind::Text: return;
    case Delta::Kind::Reasoning: reasoning += delta.text; return;
    case Delta::Kind::Call:
      if (delta.index == calls.size()) calls.push_back({delta.id, delta.name, ""});
      return;
    case Delta::Kind::Arguments:
      if (delta.index < calls.size()) calls[delta.index].arguments += delta.text;
      return;
  }
}

}  // namespace verge::protocol
