#include "worker/tasks/text_generation.h"

#include <algorithm>
#include <limits>

#include "engine/tools/answer.h"
#include "support/limits.h"
#include "worker/tasks/tool_prompt.h"

namespace verge::worker {
namespace {

constexpr size_t kBytesPerToken = 4;  // about, of English
constexpr size_t kBytesOfSchema = 200;  // about, a member of a tool's schema
constexpr size_t kEndOfPrompt = 64;     // bytes that tell whether a thought has begun
constexpr int64_t kUsualAnswer = 256;  // tokens; most answers end before the most that they may have

struct Limits {
  const engine::LoadedModel& model;
  const engine::tools::Syntax* syntax =
      nullptr;                   // the model's own; null: the generic one is shown to it
  const protocol::Tools& tools;  // that it is shown
  int context_tokens = 0;
  int64_t max_tokens = 0;  // wanted, for the error's figure
};

json::object text_part(std::string_view text) { return {{"type", "text"}, {"text", text}}; }

// A message's content in a form that the template prints: as the client sent it, else its parts'
// texts as one string or the string as one part.
Result<json::value> content_for(const json::value& content, const engine::ContentForms& forms,
                                size_t index) {
  if (!content.is_string() && !content.is_null() && !content.is_array()) {
    return fail_at(Code::InvalidInput, fmt::format("/messages/{}/content", index),
                   "messages[{}].content must be a string or a list of parts", index);
  }
  json::array parts;
  std::string text;
  if (content.is_string()) text = std::string_view(content.get_string());
  if (!content.is_array()) {
    if (forms.strings) return json::value(text);
    parts.push_back(text_part(text));
    return json::value(std::move(parts));
  }
  for (const json::value& part : content.get_array()) {
    if (part.is_string()) {
      text += std::string_view(part.get_string());
      parts.push_back(text_part(part.get_string()));
      continue;
    }
    const json::object* object = part.if_object();
    const std::string type = object ? get_string(*object, "type").value_or("") : "";
    if (!object || (type != "text" && type != "input_text"))
      return fail_at(Code::UnsupportedParameter, fmt::format("/messages/{}/content", index), "messages[{}].content: parts of type '{}' are not supported by this model", index, type);
    parts.push_back(text_part(get_string(*object, "text").value_or("")));
    text += std::string_view(parts.back().at("text").as_string());
  }
  return forms.parts ? json::value(std::move(parts)) : json::value(text);
}

Result<void> check_roles(const json::array& messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    const json::object* message = messages[i].if_object();
    if (!message || !get_string(*message, "role"))
      return fail_at(Code::InvalidInput, fmt::format("/messages/{}/role", i),
                     "messages[{}].role is missing", i);
  }
  return {};
}

// `chat_template` null: every content becomes a string.
Result<json::array> with_contents(const json::array& messages,
                                  const engine::ChatTemplate* chat_template) {
  json::array out;
  for (size_t i = 0; i < messages.size(); ++i) {
    const json::object* message = messages[i].if_object();
    json::object copy = *message;
    const engine::ContentForms forms =
        chat_template ? chat_template->content_of(*get_string(*message, "role"))
                      : engine::ContentForms();
    const json::value* given = message->if_contains("content");
    VERGE_ASSIGN(content, content_for(given ? *given : json::value(), forms, i));
    copy["content"] = std::move(content);
    out.push_back(std::move(copy));
  }
  return out;
}

std::string transcript(const json::array& messages) {
  std::string text;
  for (const json::value& message : messages) {
    text += std::string_view(message.at("role").as_string());
    text += ": ";
    text += std::string_view(message.at("content").as_string());
    text += '\n';
  }
  return text + "assistant:";
}

std::string token_text(const engine::Tokenizer& tokenizer, int32_t id) { return id < 0 ? std::string() : tokenizer.piece(id, true); }

Error context_overflow(int64_t requested, int64_t limit) {
  Error error = fail(Code::ContextOverflow, "the prompt and its answer may have {} tokens, the context window has {}", requested, limit);
  error.requested = requested;
  error.limit = limit;
  return error;
}

// Ids of the rendered prompt. What cannot fit is refused by its length where that is enough, else where the limit is passed:
// a prompt of megabytes is not worth reading to its end only to be refused. One of up to twice the limit is counted exactly.
Result<std::vector<int32_t>> encode_within(std::string_view text, engine::EncodeOptions options, const Limits& limits) {
  const auto context = static_cast<size_t>(limits.context_tokens);
  const auto estimate = static_cast<int64_t>(std::max(context, text.size() / kBytesPerToken)) + limits.max_tokens;
  if (limits.model.tokenizer->least_tokens(text) >= context) return context_overflow(estimate, limits.context_tokens);
  options.most_tokens = 2 * context;
  std::vector<int32_t> ids = limits.model.tokenizer->encode(text, options);
  if (ids.size() > options.most_tokens) return context_overflow(std::max(estimate, static_cast<int64_t>(ids.size()) + limits.max_tokens), limits.context_tokens);
  return ids;
}

bool mentions(const engine::LoadedModel& model, std::string_view word) {
  return model.file->chat_template.find(word) != std::string::npos;
}

// Variables of the template that the client sets. What the template does not look at is refused,
// unless it asks for nothing.
Result<json::object> template_variables(const protocol::TextParameters& params,
                                        const engine::LoadedModel& model) {
  json::object out = params.chat_template_kwargs.value_or(json::object());
  for (const char* name : {"messages", "tools"})
    if (out.contains(name))
      return fail_at(Code::UnsupportedParameter, fmt::format("/chat_template_kwargs/{}", name),
                     "'/chat_template_kwargs/{0}' is not supported: it would stand in place of '/{0}'",
                     name);
  for (const auto& [name, value] : out)
    if (!mentions(model, name) && !value.is_null() && value != false)
      return fail_at(Code::UnsupportedParameter,
                     fmt::format("/chat_template_kwargs/{}", std::string_view(name)),
                     "'/chat_template_kwargs/{}' is not supported: this model's chat template has no "
                     "such variable",
                     std::string_view(name));
  const std::optional<std::string>& effort = params.reasoning_effort;
  if (!effort) return out;
  if (!params.reasoning_levels.empty()) {  // the model's own: nothing is to be mapped
    const bool told =
        std::ranges::find(params.reasoning_levels, *effort) != params.reasoning_levels.end() &&
        mentions(model, "reasoning_effort");
    if (told) out.emplace("reasoning_effort", *effort);
    if (params.reasoning_usual || (told && (*effort != "none" || !mentions(model, "thinking"))))
      return out;
  } else if (mentions(model, "reasoning_effort")) {
    const bool least =
        *effort == "minimal" ||
        (*effort == "none" && mentions(model, "<|channel|>"));  // gpt-oss always thinks
    if (least) out.emplace("reasoning_effort", "low");
    else out.emplace("reasoning_effort", *effort == "xhigh" || *effort == "max" ? "high" : *effort);
    if (*effort != "none" || least) return out;
  }
  // The switches of Qwen3, SmolLM3 and GLM, and of DeepSeek and Granite. Others do not look at
  // them.
  bool found = false;
  for (const char* name : {"enable_thinking", "thinking"}) {
    if (*effort != "none" && !mentions(model, name)) continue;
    found = true;
    out.emplace(name, *effort != "none");
  }
  // A model that always thinks, and has no degrees of it, does what it can.
  if (!found && !engine::tools::find_thought(model.file->chat_template))
    return fail_at(Code::UnsupportedParameter, "/reasoning_effort",
                   "'/reasoning_effort' is not supported: this model does not reason");
  return out;
}

Result<std::vector<int32_t>> encode_chat(json::array messages, const protocol::TextParameters& params,
                                         const Limits& limits, int64_t now_unix_s,
                                         std::string* end_of_prompt) {
  const engine::LoadedModel& model = limits.model;
  const engine::Tokenizer& tokenizer = *model.tokenizer;
  engine::ChatTemplateInputs inputs;
  inputs.messages = std::move(messages);
  inputs.bos_token = token_text(tokenizer, tokenizer.bos());
  inputs.eos_token = token_text(tokenizer, tokenizer.eos());
  VERGE_ASSIGN(variables, template_variables(params, model));
  inputs.extra = std::move(variables);
  if (limits.syntax) inputs.tools = template_tools(limits.tools);
  // Granite's own name of them.
  if (!inputs.tools.empty() && mentions(model, "available_tools"))
    inputs.extra.emplace("available_tools", inputs.tools);
  // Midnight, so that a template that writes the time gives all prompts of a day the same beginning.
  inputs.now_unix_s = now_unix_s - now_unix_s % 86'400;
  VERGE_ASSIGN(prompt, model.chat_template->render(inputs));
  *end_of_prompt =
      prompt.text.substr(prompt.text.size() - std::min(prompt.text.size(), kEndOfPrompt));
  VERGE_ASSIGN(ids, encode_within(prompt.text,
                                  {.add_special = false, .parse_special = true, .foreign = prompt.foreign},
                                  limits));
  const bool wants_bos = tokenizer.adds_bos() && tokenizer.bos() >= 0 && model.file->chat_template.find("bos_token") == std::string::npos;
  if (wants_bos && (ids.empty() || ids.front() != tokenizer.bos())) ids.insert(ids.begin(), tokenizer.bos());
  return ids;
}

Result<std::vector<int32_t>> encode_prompt(const protocol::TextParameters& params, const Limits& limits,
                                           int64_t now_unix_s, bool* starts_text,
                                           std::string* end_of_prompt) {
  const engine::LoadedModel& model = limits.model;
  const std::optional<json::array>& messages = params.messages;
  const std::optional<std::string>& prompt = params.prompt;
  if (!messages && !prompt) return fail_at(Code::InvalidInput, "/prompt", "one of 'prompt' and 'messages' is required");
  const bool raw = params.raw;
  *starts_text = true;
  if (!model.chat_template_fault.empty() && (messages || !raw)) {
    return fail(Code::InvalidInput,
                "this model's chat template cannot be used: {}. Send a 'prompt' with \"raw\": "
                "true, or mend the template",
                model.chat_template_fault);
  }
  if (messages || (!raw && (model.chat_template || !limits.tools.tools.empty()))) {
    json::array all =
        messages ? *messages : json::array{json::object{{"role", "user"}, {"content", *prompt}}};
    VERGE_TRY(check_roles(all));
    all = with_written_calls(std::move(all));
    all = limits.syntax ? with_ids(std::move(all), *limits.syntax)
                        : plain_messages(std::move(all), limits.tools);
    VERGE_ASSIGN(ready, with_contents(all, model.chat_template.get()));
    if (model.chat_template)
      return encode_chat(std::move(ready), params, limits, now_unix_s, end_of_prompt);
    return encode_within(transcript(ready), {.add_special = true, .parse_special = false}, limits);
  }
  *starts_text = prompt->empty();
  // A raw prompt is the model's whole input, control tokens included, as llama.cpp and vLLM take
  // completions.
  return encode_within(*prompt, {.add_special = true, .parse_special = raw}, limits);
}

Result<void> set_max_tokens(const protocol::TextParameters& params, int context_tokens, Generation& out) {
  const int64_t prompt = static_cast<int64_t>(out.prompt.size());
  const std::optional<int64_t> wanted = params.max_tokens;
  const bool strict = wanted && !params.clamp_max_tokens;
  const int64_t left = context_tokens - prompt;
  const int64_t most = wanted.value_or(1);
  if (left < (wanted == 0 ? 0 : 1) || (strict && *wanted > left))
    return context_overflow(most > std::numeric_limits<int64_t>::max() - prompt ? most : prompt + most, context_tokens);
  out.max_tokens = static_cast<int>(wanted ? std::min(*wanted, left) : left);
  return {};
}

Result<void> set_sampling(const protocol::TextParameters& params, uint64_t seed, const engine::LoadedModel& model, Generation& out) {
  engine::SamplingParams& s = out.sampling;
  const auto take = [](std::optional<double> wanted, float& to) { to = wanted ? static_cast<float>(*wanted) : to; };
  take(params.temperature, s.temperature);
  take(params.top_p, s.top_p);
  take(params.min_p, s.min_p);
  take(params.repetition_penalty, s.repetition_penalty);
  take(params.frequency_penalty, s.frequency_penalty);
  take(params.presence_penalty, s.presence_penalty);
  s.top_k = static_cast<int>(std::clamp<int64_t>(params.top_k.value_or(0), 0, limits::kVocabulary));
  s.logprobs = static_cast<int>(std::clamp<int64_t>(params.logprobs.value_or(-1), -1, limits::kLogprobs));
  s.seed = seed;
  const int32_t vocabulary = model.tokenizer->vocabulary();
  for (const auto& [id, amount] : params.logit_bias) {
    if (id >= vocabulary)
      return fail_at(Code::InvalidInput, fmt::format("/logit_bias/{}", id), "logit_bias: '{}' is no token id of this model (0 to {})", id, vocabulary - 1);
    s.logit_bias.emplace_back(id, static_cast<float>(amount));
  }
  out.ignore_eos = params.ignore_eos && !out.grammar;  // a grammar says where an answer ends
  if (out.ignore_eos)
    for (int32_t id : model.stop_ids) s.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
  return {};
}

size_t content_bytes(const json::value& content) {
  if (const json::string* text = content.if_string()) return text->size();
  size_t bytes = 0;
  if (const json::array* parts = content.if_array()) {
    for (const json::value& part : *parts) {
      if (const json::string* text = part.if_string()) bytes += text->size();
      const json::object* of_type = part.if_object();
      const json::value* text = of_type ? of_type->if_contains("text") : nullptr;
      if (text && text->is_string()) bytes += text->get_string().size();
    }
  }
  return bytes;
}

}  // namespace

size_t prompt_bytes(const protocol::TextParameters& params) {
  size_t bytes = params.prompt ? params.prompt->size() : 0;
  for (const protocol::Tool& tool : params.tools.tools)
    bytes += tool.name.size() + tool.description.size() + kBytesOfSchema * tool.parameters.size();
  if (!params.messages) return bytes;
  for (const json::value& message : *params.messages) {
    const json::object* object = message.if_object();
    const json::value* content = object ? object->if_contains("content") : nullptr;
    if (content) bytes += content_bytes(*content);
  }
  return bytes;
}

int64_t about_tokens(const protocol::TextParameters& params, size_t prompt_bytes) {
  const int64_t answer = std::clamp<int64_t>(params.max_tokens.value_or(kUsualAnswer), 1, kUsualAnswer);
  return static_cast<int64_t>(prompt_bytes / kBytesPerToken) + answer;
}

// What the answer may be made of, and how it is read. `end_of_prompt` is empty where no template
// was used.
static Result<void> set_form(const std::optional<protocol::WantedGrammar>& wanted,
                             const std::string& request_id, const protocol::Tools& tools,
                             std::string_view end_of_prompt, Grammars& grammars, Generation& out) {
  namespace tool = engine::tools;
  tool::AnswerForm form;
  const tool::Thought* thought = end_of_prompt.empty() ? nullptr : grammars.thought();
  if (thought && !tool::is_closed(*thought, end_of_prompt)) {
    form.thought = thought;
    form.inside = tool::begins_inside(*thought, end_of_prompt);
  }
  if (!tools.tools.empty()) {
    form.syntax = grammars.syntax() ? grammars.syntax() : &tool::generic_syntax();
    form.required = tools.choice.mode == protocol::ToolMode::Required;
    // A model that was never taught calls goes on calling where it must: one is what it can.
    form.parallel = tools.parallel && (grammars.syntax() || !form.required);
    const std::vector<std::string>& names = tools.choice.names;
    for (const protocol::Tool& one : tools.tools)
      if (names.empty() || std::find(names.begin(), names.end(), one.name) != names.end())
        form.functions.push_back({one.name, json::serialize(arguments_schema(one)), one.at});
  }
  if (wanted && !form.thought && !form.syntax) {
    VERGE_ASSIGN(grammar, grammars.find(*wanted));
    out.grammar = std::move(grammar);
    return {};
  }
  if (wanted) {
    VERGE_ASSIGN(body, Grammars::part(*wanted));
    form.body = std::move(body);
  }
  out.parser = tool::answer_parser(form);
  if (out.parser) {
    out.shown = grammars.marks();
    const tool::Syntax* syntax = form.syntax ? form.syntax : &tool::generic_syntax();
    out.call_id = [syntax, id = request_id](size_t index, std::string_view name) {
      return call_id(*syntax, id, index, name);
    };
  }
  const auto envelope = tool::answer_envelope(form);
  if (!envelope) return with_pointer(envelope.error());
  if (envelope->empty()) return {};
  VERGE_ASSIGN(grammar, grammars.find(*envelope));
  out.grammar = std::move(grammar);
  return {};
}

// The tools that the model is shown.
static protocol::Tools shown_tools(const protocol::TextParameters& params) {
  protocol::Tools tools = params.tools;
  if (tools.choice.mode == protocol::ToolMode::None) tools.tools.clear();
  return tools;
}

Result<int64_t> count_prompt_tokens(const protocol::TextParameters& params,
                                    const engine::LoadedModel& model, Grammars& grammars,
                                    int context_tokens, int64_t now_unix_s) {
  const protocol::Tools tools = shown_tools(params);
  bool starts_text = true;
  std::string end_of_prompt;
  VERGE_ASSIGN(prompt, encode_prompt(params, {model, grammars.syntax(), tools, context_tokens},
                                     now_unix_s, &starts_text, &end_of_prompt));
  return static_cast<int64_t>(prompt.size());
}

Result<Generation> prepare_generation(const protocol::TextParameters& params, const Asked& asked,
                                      const engine::LoadedModel& model, Grammars& grammars,
                                      int context_tokens, int64_t now_unix_s) {
  Generation out;
  const protocol::Tools tools = shown_tools(params);
  const int64_t wanted = std::clamp<int64_t>(params.max_tokens.value_or(1), 1, limits::kContextTokens);
  std::string end_of_prompt;
  VERGE_ASSIGN(prompt, encode_prompt(params, {model, grammars.syntax(), tools, context_tokens, wanted},
                                     now_unix_s, &out.starts_text, &end_of_prompt));
  out.prompt = std::move(prompt);
  VERGE_TRY(set_form(params.grammar, asked.id, tools, end_of_prompt, grammars, out));
  // A model must start from something; where the text is empty and the model adds no BOS of its own, it gets one.
  if (out.prompt.empty()) {
    const int32_t start = model.tokenizer->bos() >= 0 ? model.tokenizer->bos() : model.tokenizer->eos();
    if (start < 0) return fail(Code::InvalidInput, "the prompt is empty and this model has no start token");
    out.prompt.push_back(start);
  }
  VERGE_TRY(set_max_tokens(params, context_tokens, out));
  VERGE_TRY(set_sampling(params, asked.seed, model, out));
  out.stop = params.stop;
  out.resume = asked.resume_ids;
  if (out.resume.size() > static_cast<size_t>(out.max_tokens)) return fail(Code::InvalidInput, "more ids to resume from than max_tokens");
  for (int32_t id : out.resume)
    if (id < 0 || id >= model.tokenizer->vocabulary()) return fail(Code::InvalidInput, "id {} to resume from is not in the vocabulary", id);
  return out;
}

}  // namespace verge::worker
