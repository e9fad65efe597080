// From published JSON to the worker's parameters.
//
// A native request is checked in this order: the model's published schema (whose messages clients
// know), then what is published but not built, then the values once more while they are read. The
// last step is not idle: schemas leave gaps (max_tokens has no minimum), users' models may bring
// schemas of their own, and the worker trusts what it gets.
//
// Properties that no schema knows are met, refused or accepted as parameters.cpp says; the rest is ignored, as the
// published service does, and named in the answer's headers.
#include "api/tasks/text_generation.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "api/errors.h"
#include "api/tasks/parameters.h"
#include "api/tasks/reasoning.h"
#include "api/tasks/structured.h"
#include "api/tasks/tools.h"
#include "catalogue/schema.h"
#include "support/limits.h"
#include "support/overload_limits.h"

namespace verge::api {
namespace {

constexpr TextRanges kNativeRanges{
    .max_tokens_least = 1, .max_tokens_strict = true, .temperature_most = 5, .top_k_least = 0, .top_k_most = 1 << 20, .seed_least = INT64_MIN, .seed_most = INT64_MAX};
constexpr double kDefaultTemperature = 0.6;
constexpr int64_t kDefaultMaxTokens = 256;
constexpr int64_t kMaxTokensMost = 1 << 30;  // any context window is less; the worker checks against the model's

constexpr std::string_view kBooleans[] = {"raw", "stream", "store", "parallel_tool_calls", "skip_special_tokens", "ignore_eos"};

bool is_empty(const json::value& value) {
  return value.is_null() || (value.is_array() && value.get_array().empty()) || (value.is_string() && value.get_string().empty()) ||
         (value.is_object() && value.get_object().empty());
}
// {"50256": -100} -> the same with ids checked.
void read_logit_bias(Params& in, protocol::TextParameters& out) {
  const json::object* bias = in.object("logit_bias");
  if (!bias || bias->empty()) return;
  if (bias->size() > limits::kLogitBias)
    return in.refuse(fail_at(Code::InvalidInput, "/logit_bias", "maxProperties at '/logit_bias' is {}, got {}", limits::kLogitBias, bias->size()));
  for (const auto& [key, value] : *bias) {
    std::string_view text = key;
    int32_t id = -1;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (ec != std::errc() || end != text.data() + text.size() || id < 0)
      return in.refuse(fail_at(Code::InvalidInput, "/logit_bias", "'/logit_bias' must have token ids as keys"));
    if (!value.is_number())
      return in.refuse(fail_at(Code::InvalidInput, fmt::format("/logit_bias/{}", id), "Type mismatch of '/logit_bias/{}', 'number' not in '{}'", id, type_name(value)));
    double amount = value.to_number<double>();
    if (!(std::fabs(amount) <= 100)) return in.refuse(fail_at(Code::InvalidInput, fmt::format("/logit_bias/{}", id), "'/logit_bias/{}' must be >= -100 and <= 100", id));
    out.logit_bias.emplace_back(id, amount);
  }
}

void read_stop(Params& in, protocol::TextParameters& out) {
  const json::value* stop = in.find("stop");
  if (!stop) return;
  if (const json::array* many = stop->if_array(); many && many->size() > limits::kStopStrings)
    return in.refuse(fail_at(Code::InvalidInput, "/stop", "maxItems at '/stop' is {}, got {}", limits::kStopStrings, many->size()));
  json::array list;
  if (stop->is_string()) list.push_back(*stop);
  else if (stop->is_array()) list = stop->get_array();
  else return in.refuse(fail_at(Code::InvalidInput, "/stop", "Type mismatch of '/stop', 'string' or 'array' not in '{}'", type_name(*stop)));
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string())
      return in.refuse(fail_at(Code::InvalidInput, fmt::format("/stop/{}", i), "Type mismatch of '/stop/{}', 'string' not in '{}'", i, type_name(list[i])));
    if (list[i].get_string().size() > limits::kStopStringBytes)
      return in.refuse(fail_at(Code::InvalidInput, fmt::format("/stop/{}", i), "Length of '/stop/{}' must be <= {}", i, limits::kStopStringBytes));
    if (!list[i].get_string().empty()) out.stop.emplace_back(list[i].get_string());
  }
}

// The smaller of the two names of one wish, where both are sent.
void read_max_tokens(Params& in, const TextRanges& ranges, std::optional<int64_t> default_tokens, protocol::TextParameters& out) {
  // A client that wants all there is sends 2147483647 and more. What becomes of it is the context window's to say.
  std::optional<int64_t> most = in.integer("max_tokens", ranges.max_tokens_least, INT64_MAX);
  const std::optional<int64_t> newer = in.integer("max_completion_tokens", ranges.max_tokens_least, INT64_MAX);
  if (newer && (!most || *most < 0 || (*newer >= 0 && *newer < *most))) most = newer;
  const bool given = most.has_value();
  if (!given) most = default_tokens;
  if (!most || *most < 0) return;
  out.max_tokens = std::min(*most, kMaxTokensMost);
  out.clamp_max_tokens = !given || !ranges.max_tokens_strict;
}

std::optional<int64_t> native_default_tokens(const catalogue::Entry& entry) {
  if (!entry.defaults.contains("max_tokens")) return kDefaultMaxTokens;
  return get_int(entry.defaults, "max_tokens");  // null = none
}

// The member of a part of text that holds it, by the part's type. Clients replay a history in the types that they got:
// those of the Responses API, and an assistant's refusal.
std::string_view member_of_part(std::string_view type) {
  if (type == "text" || type == "input_text" || type == "output_text") return "text";
  return type == "refusal" ? "refusal" : "";
}

Result<std::string> join_parts(const json::array& parts, size_t message) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const json::object* part = parts[i].if_object();
    if (!part)
      return fail_at(Code::InvalidInput, fmt::format("/messages/{}/content/{}", message, i), "Type mismatch of '/messages/{}/content/{}', 'object' not in '{}'", message, i, type_name(parts[i]));
    std::string type = get_string(*part, "type").value_or("text");
    const std::string_view member = member_of_part(type);
    if (member.empty())
      return not_built(fmt::format("/messages/{}/content/{}", message, i),
                       fmt::format("content of type {:.32}; this model reads text only", type));
    std::optional<std::string> piece = get_string(*part, member);
    if (!piece) return fail_at(Code::InvalidInput, fmt::format("/messages/{}/content/{}", message, i), "required properties at '/messages/{}/content/{}' are 'type,{}'", message, i, member);
    if (i > 0) text += '\n';
    text += *piece;
  }
  return text;
}

Result<json::object> normalise_message(const json::value& value, size_t index,
                                       std::vector<std::string>& ignored) {
  auto place = [&](std::string_view field) { return fmt::format("/messages/{}{}{}", index, field.empty() ? "" : "/", field); };
  const json::object* message = value.if_object();
  if (!message) return fail_at(Code::InvalidInput, place(""), "Type mismatch of '{}', 'object' not in '{}'", place(""), type_name(value));
  const json::value* role = message->if_contains("role");
  const json::value* content = message->if_contains("content");
  if (const json::value* part = message->if_contains("function_call"); part && !is_empty(*part))
    return not_built(place("function_call"), "use 'tool_calls'");
  if (const json::value* part = message->if_contains("audio"); part && !is_empty(*part))
    return not_built(place("audio"));
  const json::value* calls = message->if_contains("tool_calls");
  if (calls && is_empty(*calls)) calls = nullptr;
  static const json::value kNoContent;
  if (!content && calls) content = &kNoContent;
  if (!role || !content) return fail_at(Code::InvalidInput, place(""), "required properties at '{}' are 'role,content'", place(""));
  if (!role->is_string()) return fail_at(Code::InvalidInput, place("role"), "Type mismatch of '{}', 'string' not in '{}'", place("role"), type_name(*role));
  std::string name(role->get_string());
  if (name == "function") return not_built(place("role"), "use the role 'tool'");
  if (name == "developer") name = "system";
  if (name != "system" && name != "user" && name != "assistant" && name != "tool")
    return fail_at(Code::InvalidInput, place("role"), "enum {:.32} not in system,user,assistant,tool at '{}'", name, place("role"));
  json::object out;
  out["role"] = name;
  if (calls) {
    if (name != "assistant")
      return fail_at(Code::InvalidInput, place("tool_calls"), "'{}' is for messages of the assistant", place("tool_calls"));
    VERGE_ASSIGN(list, read_calls(*calls, place("tool_calls")));
    out["tool_calls"] = std::move(list);
  }
  if (content->is_string()) {
    out["content"] = *content;
  } else if (content->is_array()) {
    VERGE_ASSIGN(text, join_parts(content->get_array(), index));
    out["content"] = std::move(text);
  } else if (content->is_null() && name == "assistant") {
    out["content"] = "";
  } else {
    return fail_at(Code::InvalidInput, place("content"), "Type mismatch of '{}', 'string' not in '{}'", place("content"), type_name(*content));
  }
  // The assistant's last message is to be gone on from (Mistral, DeepSeek; Moonshot).
  for (std::string_view field : {"prefix", "partial"})
    if (const json::value* flag = message->if_contains(field); flag && *flag == true)
      return not_built(place(field), "an answer begins a message of its own");
  // Further texts of a message (name, reasoning_content …) are the template's to use.
  for (const auto& [key, more] : *message) {
    if (out.contains(key)) continue;
    if (more.is_string()) {
      out[key] = more;
    } else if (std::string path = fmt::format("messages.{}", std::string_view(key));
               !is_empty(more) && more != false && std::ranges::find(ignored, path) == ignored.end()) {
      ignored.push_back(std::move(path));
    }
  }
  return out;
}

// The published schema wants a type and a description of each property of a tool, which real
// clients leave out, and a text in every message: both are read by this folder's own rules.
Result<void> validate_but_tools(const json::object& schema, json::value& input) {
  json::object* body = input.if_object();
  if (!body) return catalogue::validate(schema, input);
  const auto is_of_tools = [](const json::value& message) {
    const json::object* o = message.if_object();
    return o && (o->contains("tool_calls") || get_string(*o, "role") == "tool");
  };
  json::object aside;
  for (const char* name : {"tools", "tool_choice"}) {
    if (const auto it = body->find(name); it != body->end()) {
      aside.emplace(name, std::move(it->value()));
      body->erase(it);
    }
  }
  json::array* messages = body->contains("messages") ? body->at("messages").if_array() : nullptr;
  json::array all;
  if (messages && std::ranges::any_of(*messages, is_of_tools)) {
    all = *messages;
    for (json::value& message : *messages)
      if (is_of_tools(message)) message = json::object{{"role", "assistant"}, {"content", ""}};
  }
  const Result<void> valid = catalogue::validate(schema, input);
  if (!all.empty()) body->at("messages") = std::move(all);
  for (auto& [name, value] : aside) body->emplace(name, std::move(value));
  return valid;
}

// What the answer of the native shape, one text, has no place for.
Result<void> refuse_of_native_answer(const TextRequest& text) {
  if (text.n != 1) return fail_at(Code::InvalidInput, "/n", "'/n' must be <= 1 for this model");
  if (text.params.logprobs)
    return not_built("/logprobs", "this model's native answer has no place for them; /v1/chat/completions has");
  return {};
}

}  // namespace

Result<json::array> normalise_messages(const json::value& messages,
                                       std::vector<std::string>& ignored) {
  if (!messages.is_array()) return fail_at(Code::InvalidInput, "/messages", "Type mismatch of '/messages', 'array' not in '{}'", type_name(messages));
  const json::array& list = messages.get_array();
  if (list.empty()) return fail_at(Code::InvalidInput, "/messages", "minItems at '/messages' is 1, got 0");
  if (list.size() > limits::kMessages) return fail_at(Code::InvalidInput, "/messages", "maxItems at '/messages' is {}, got {}", limits::kMessages, list.size());
  json::array out;
  for (size_t i = 0; i < list.size(); ++i) {
    VERGE_ASSIGN(message, normalise_message(list[i], i, ignored));
    out.push_back(std::move(message));
  }
  return out;
}

void read_sampling(Params& in, const catalogue::Entry& entry, const TextRanges& ranges, std::optional<int64_t> default_tokens,
                   TextRequest& out) {
  protocol::TextParameters& params = out.params;
  read_max_tokens(in, ranges, default_tokens, params);
  params.temperature = in.number("temperature", 0, ranges.temperature_most)
                              .value_or(get_number(entry.defaults, "temperature").value_or(kDefaultTemperature));
  // Old schemas allow 2; more than 1 can't mean more than everything.
  if (auto top_p = in.number("top_p", 0, 2)) params.top_p = std::min(*top_p, 1.0);
  if (auto top_k = in.integer("top_k", ranges.top_k_least, ranges.top_k_most); top_k && *top_k > 0) params.top_k = *top_k;
  if (auto min_p = in.number("min_p", 0, 1)) params.min_p = *min_p;
  // 0 is in the published range and would divide by it: it stands for "off", as 1 does.
  if (auto penalty = in.number("repetition_penalty", 0, 2); penalty && *penalty > 0) params.repetition_penalty = *penalty;
  if (auto penalty = in.number("frequency_penalty", -2, 2)) params.frequency_penalty = *penalty;
  if (auto penalty = in.number("presence_penalty", -2, 2)) params.presence_penalty = *penalty;
  if (in.flag("ignore_eos").value_or(false)) params.ignore_eos = true;
  if (const json::object* kwargs = in.object("chat_template_kwargs"); kwargs && !kwargs->empty()) params.chat_template_kwargs = *kwargs;
  read_logit_bias(in, params);
  read_stop(in, params);
  if (auto seed = in.integer("seed", ranges.seed_least, ranges.seed_most)) out.seed = static_cast<uint64_t>(*seed);
  out.stream = in.flag("stream").value_or(false);
  out.n = static_cast<int>(in.integer("n", 1, limits::kAnswers).value_or(1));
}

void read_chat_logprobs(Params& in, TextRequest& out) {
  bool wanted = in.flag("logprobs").value_or(false);
  auto top = in.integer("top_logprobs", 0, limits::kTopLogprobs);
  if (top && *top > 0 && !wanted) in.refuse(fail_at(Code::InvalidInput, "/top_logprobs", "'/top_logprobs' needs '/logprobs' to be true"));
  if (wanted) out.params.logprobs = top.value_or(0);
}

Result<TextRequest> parse_native_text(json::value input, const catalogue::Entry& entry, const json::object& schema) {
  if (json::object* object = input.if_object()) {
    object->erase("options");  // the route's, not the model's
    for (std::string_view name : kBooleans)
      if (json::value* value = object->if_contains(name); value && value->is_string())
        if (auto flag = as_bool(*value)) *value = *flag;
    for (auto it = object->begin(); it != object->end();) it = it->value().is_null() ? object->erase(it) : it + 1;
  }
  VERGE_TRY(validate_but_tools(schema, input));
  if (!input.is_object()) return fail(Code::InvalidInput, "Type mismatch of '/', 'object' not in '{}'", type_name(input));
  const json::object& body = input.get_object();
  VERGE_ASSIGN(ignored, check_parameters(Surface::NativeText, body));

  Params in(body);
  TextRequest out;
  out.ignored = std::move(ignored);
  read_sampling(in, entry, kNativeRanges, native_default_tokens(entry), out);
  bool raw = in.flag("raw").value_or(false);
  if (!raw) read_reasoning(in, entry, out);
  read_chat_logprobs(in, out);
  read_structured(in, true, out);
  read_tools(in, out);
  if (!in.ok()) return in.error();
  if (entry.answer_shape == "native") VERGE_TRY(refuse_of_native_answer(out));
  if (raw && out.params.chat_template_kwargs)
    return fail_at(Code::InvalidInput, "/chat_template_kwargs", "'/chat_template_kwargs' has no effect where '/raw' is true: leave one of them out");
  if (raw && !out.params.tools.tools.empty())
    return fail_at(Code::InvalidInput, "/tools",
                "'/tools' has no effect where '/raw' is true: leave one of them out");
  if (const json::value* messages = in.find("messages")) {
    out.chat = true;
    VERGE_ASSIGN(list, normalise_messages(*messages, out.ignored));
    if (!raw) {
      out.params.messages = std::move(list);
      return out;
    }
    // Without a template messages are just their texts.
    std::string text;
    for (const json::value& message : list) text += (text.empty() ? "" : "\n") + std::string(message.at("content").as_string());
    out.params.prompt = std::move(text);
  } else {
    auto prompt = in.text("prompt");
    if (!in.ok()) return in.error();
    if (!prompt) return fail(Code::InvalidInput, "required properties at '/' are 'prompt'");
    out.params.prompt = std::move(*prompt);
  }
  out.params.raw = raw;
  return out;
}

json::object usage_json(const protocol::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", json::object{{"cached_tokens", usage.cached_tokens}}}};
}

}  // namespace verge::api
