#include "protocol/tasks/text_generation.h"

#include <algorithm>
#include <charconv>

#include "protocol/tasks/fields.h"
#include "support/limits.h"

namespace verge::protocol {
namespace {

constexpr const char* kModes[] = {"auto", "none", "required"};


// JSON of what the struct holds in another form.
struct ChoiceFields {
  std::string mode;
  std::vector<std::string> names;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("mode", self.mode);
    visit("names", self.names);
  }
};

// Those that stand in the JSON as they do in the struct.
template <class Self, class Visit>
void plain_fields(Self& p, Visit& visit) {
  visit("prompt", p.prompt);
  visit("messages", p.messages);
  visit("max_tokens", p.max_tokens);
  visit("temperature", p.temperature);
  visit("top_p", p.top_p);
  visit("min_p", p.min_p);
  visit("repetition_penalty", p.repetition_penalty);
  visit("frequency_penalty", p.frequency_penalty);
  visit("presence_penalty", p.presence_penalty);
  visit("top_k", p.top_k);
  visit("stop", p.stop);
  visit("logprobs", p.logprobs);
  visit("chat_template_kwargs", p.chat_template_kwargs);
  visit("reasoning_effort", p.reasoning_effort);
  visit("grammar", p.grammar);
}

void put_tools(const Tools& tools, json::object& params) {
  if (tools.tools.empty()) return;
  json::array list;
  // Whole, empty texts too: templates' tools have all of them.
  for (const Tool& tool : tools.tools)
    list.push_back(json::object{{"name", tool.name},
                                {"description", tool.description},
                                {"parameters", tool.parameters},
                                {"at", tool.at}});
  params["tools"] = std::move(list);
  params["tool_choice"] = write_fields(ChoiceFields{kModes[static_cast<size_t>(tools.choice.mode)], tools.choice.names});
  params["parallel_tool_calls"] = tools.parallel;
}

verge::Result<Tool> tool_from_json(const json::value& value, std::string at) {
  const json::object* tool = value.if_object();
  const auto name = tool ? get_string(*tool, "name") : std::nullopt;
  const json::object* parameters = tool ? get_object(*tool, "parameters") : nullptr;
  if (!name || !parameters) return fail_at(Code::InvalidInput, at, "'{}' must have a name and parameters", at);
  return Tool{*name, get_string(*tool, "description").value_or(""), *parameters, get_string(*tool, "at").value_or("")};
}

verge::Result<Tools> get_tools(const json::object& params) {
  Tools out;
  const json::value* value = params.if_contains("tools");
  if (!value || value->is_null()) return out;
  const json::array* list = value->if_array();
  if (!list) return fail_at(Code::InvalidInput, "/tools", "'/tools' must be a list");
  for (size_t i = 0; i < list->size(); ++i) {
    VERGE_ASSIGN(tool, tool_from_json((*list)[i], "/tools/" + std::to_string(i)));
    out.tools.push_back(std::move(tool));
  }
  out.parallel = get_bool(params, "parallel_tool_calls").value_or(true);
  const json::object* choice = get_object(params, "tool_choice");
  if (!choice) return out;
  VERGE_ASSIGN(wanted, read_fields<ChoiceFields>(*choice, "/tool_choice"));
  const auto* const mode = std::find(std::begin(kModes), std::end(kModes), wanted.mode);
  if (mode == std::end(kModes))
    return fail_at(Code::InvalidInput, "/tool_choice/mode", "'/tool_choice/mode' is '{:.32}', which is not known", wanted.mode);
  out.choice = {static_cast<ToolMode>(mode - std::begin(kModes)), std::move(wanted.names)};
  return out;
}

verge::Result<std::vector<std::pair<int32_t, double>>> get_logit_bias(const json::object& params) {
  std::vector<std::pair<int32_t, double>> out;
  const json::value* value = params.if_contains("logit_bias");
  if (!value || value->is_null()) return out;
  const json::object* biases = value->if_object();
  if (!biases) return fail_at(Code::InvalidInput, "/logit_bias", "'/logit_bias' must be an object");
  for (const auto& [key, amount] : *biases) {
    int32_t id = -1;
    const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (ec != std::errc() || end != key.data() + key.size() || id < 0 || !amount.is_number())
      return fail_at(Code::InvalidInput, "/logit_bias", "'/logit_bias' must have token ids as keys and numbers as values");
    out.emplace_back(id, amount.to_number<double>());
  }
  return out;
}

// What the engine could not bear.
verge::Result<void> check_bounds(const TextParameters& p) {
  if (p.max_tokens && *p.max_tokens < 0) return fail_at(Code::InvalidInput, "/max_tokens", "'/max_tokens' must not be negative");
  if (p.stop.size() > limits::kStopStrings) return fail_at(Code::InvalidInput, "/stop", "'/stop' must hold at most {} texts", limits::kStopStrings);
  for (const std::string& stop : p.stop)
    if (stop.size() > limits::kStopStringBytes)
      return fail_at(Code::InvalidInput, "/stop", "'/stop' must hold texts of at most {} bytes", limits::kStopStringBytes);
  return {};
}

}  // namespace

json::object to_json(const TextParameters& p) {
  FieldWriter writer;
  plain_fields(p, writer);
  json::object out = writer.take();
  out["raw"] = p.raw;
  if (p.clamp_max_tokens) out["clamp_max_tokens"] = true;
  if (p.ignore_eos) out["ignore_eos"] = true;
  if (p.count_tokens) out["count_tokens"] = true;
  if (!p.reasoning_levels.empty()) out["reasoning_levels"] = json::value_from(p.reasoning_levels);
  if (p.reasoning_usual) out["reasoning_usual"] = true;
  if (!p.logit_bias.empty()) {
    json::object biases;
    for (const auto& [id, amount] : p.logit_bias) biases[std::to_string(id)] = amount;
    out["logit_bias"] = std::move(biases);
  }
  put_tools(p.tools, out);
  return out;
}

verge::Result<TextParameters> text_parameters(const json::object& params) {
  TextParameters out;
  FieldReader reader(params, "");
  plain_fields(out, reader);
  reader("raw", out.raw);
  reader("clamp_max_tokens", out.clamp_max_tokens);
  reader("ignore_eos", out.ignore_eos);
  reader("count_tokens", out.count_tokens);
  reader("reasoning_levels", out.reasoning_levels);
  reader("reasoning_usual", out.reasoning_usual);
  if (reader.error()) return *reader.error();
  std::erase(out.stop, "");
  VERGE_ASSIGN(tools, get_tools(params));
  out.tools = std::move(tools);
  VERGE_ASSIGN(biases, get_logit_bias(params));
  out.logit_bias = std::move(biases);
  VERGE_TRY(check_bounds(out));
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

Result to_result(const TextOutcome& outcome) {
  json::object out{{"stop", outcome.stop}};
  if (outcome.input_tokens) out["input_tokens"] = *outcome.input_tokens;
  return Result(std::move(out));
}

TextOutcome text_outcome(const Result& result) {
  const json::object* object = result.value.if_object();
  if (!object) return {};
  return {get_string(*object, "stop").value_or(""), get_int(*object, "input_tokens")};
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
