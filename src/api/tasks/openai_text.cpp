#include "api/tasks/openai_text.h"

#include <algorithm>

#include "api/errors.h"
#include "api/tasks/parameters.h"
#include "api/tasks/reasoning.h"
#include "api/tasks/structured.h"
#include "api/tasks/tools.h"
#include "support/utf8.h"
#include "support/limits.h"

namespace verge::api {
namespace {

// top_k is an extension of the field's servers; -1 and 0 mean all. Seeds may be any 64-bit integer. max_tokens: -1 sets no
// limit (llama.cpp, LM Studio; -2 is Ollama's), 0 reads the prompt and writes nothing (llama.cpp, OpenAI's completions).
constexpr TextRanges kOpenAiRanges{
    .max_tokens_least = -2, .max_tokens_strict = false, .temperature_most = 2, .top_k_least = -1, .top_k_most = 1 << 20, .seed_least = INT64_MIN, .seed_most = INT64_MAX};
constexpr int64_t kCompletionTokens = 16;  // OpenAI's default of the older route
constexpr float kLeastLogprob = -9999.0f;  // JSON has no -infinity; OpenAI sends this

float finite(float logprob) { return logprob >= kLeastLogprob ? logprob : kLeastLogprob; }

void read_stream(Params& in, TextRequest& out) {
  if (const json::object* options = in.object("stream_options")) {
    Params inner(*options);
    out.include_usage = inner.flag("include_usage").value_or(false);
    // Padding against observers of the traffic, and the usage in each event: nothing pads here, nothing counts on the way.
    for (const char* name : {"include_obfuscation", "continuous_usage_stats"})
      if (inner.flag(name).value_or(false)) in.refuse(not_built(fmt::format("/stream_options/{}", name)));
    if (!inner.ok()) in.refuse(fail_at(Code::InvalidInput, "/stream_options", "Type mismatch of a member of '/stream_options', 'boolean' not in another type"));
  }
}

json::array byte_list(std::string_view text) {
  json::array out;
  for (unsigned char c : text) out.push_back(c);
  return out;
}

json::object candidate_json(const protocol::Candidate& candidate) {
  return {{"token", lossy_utf8(candidate.text)}, {"logprob", finite(candidate.logprob)}, {"bytes", byte_list(candidate.text)}};
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// A text, or a list of texts; token ids would be tied to one tokenizer.
Result<std::vector<std::string>> read_prompts(const json::value& value) {
  if (value.is_string()) return std::vector<std::string>{std::string(value.get_string())};
  if (!value.is_array()) return fail_at(Code::InvalidInput, "/prompt", "Type mismatch of '/prompt', 'string' or 'array' not in '{}'", type_name(value));
  std::vector<std::string> prompts;
  for (const json::value& item : value.get_array()) {
    if (item.is_number() || item.is_array()) return not_built("/prompt", "token ids; send text");
    if (!item.is_string())
      return fail_at(Code::InvalidInput, fmt::format("/prompt/{}", prompts.size()), "Type mismatch of '/prompt/{}', 'string' not in '{}'", prompts.size(), type_name(item));
    prompts.emplace_back(item.get_string());
    if (prompts.size() > limits::kAnswers)
      return fail_at(Code::InvalidInput, "/prompt", "maxItems at '/prompt' is {}, got {}", limits::kAnswers, value.get_array().size());
  }
  if (prompts.empty()) return fail_at(Code::InvalidInput, "/prompt", "minItems at '/prompt' is 1, got 0");
  return prompts;
}

}  // namespace

Result<TextRequest> parse_openai_chat(const json::object& body, const catalogue::Entry& entry) {
  VERGE_ASSIGN(ignored, check_parameters(Surface::Chat, body));
  Params in(body);
  TextRequest out;
  out.ignored = std::move(ignored);
  read_sampling(in, entry, kOpenAiRanges, std::nullopt, out);
  read_reasoning(in, entry, out);
  read_chat_logprobs(in, out);
  read_structured(in, false, out);
  read_tools(in, out);
  read_stream(in, out);
  if (!in.ok()) return in.error();
  const json::value* messages = in.find("messages");
  if (!messages) return fail(Code::InvalidInput, "required properties at '/' are 'messages'");
  VERGE_ASSIGN(list, normalise_messages(*messages, out.ignored));
  out.params.messages = std::move(list);
  out.chat = true;
  return out;
}

Result<TextRequest> parse_openai_completion(const json::object& body, const catalogue::Entry& entry) {
  VERGE_ASSIGN(ignored, check_parameters(Surface::Completions, body));
  Params in(body);
  TextRequest out;
  out.ignored = std::move(ignored);
  read_sampling(in, entry, kOpenAiRanges, kCompletionTokens, out);
  read_reasoning(in, entry, out);
  // There is no template that could reason.
  out.params.reasoning_effort.reset();
  out.params.reasoning_levels.clear();
  out.params.reasoning_usual = false;
  if (auto top = in.integer("logprobs", 0, limits::kTopLogprobs)) out.params.logprobs = *top;
  read_structured(in, false, out);
  read_stream(in, out);
  out.echo = in.flag("echo").value_or(false);
  if (out.echo && out.params.logprobs) in.refuse(not_built("/echo", "beside 'logprobs', for prompts have none"));
  auto best_of = in.integer("best_of", 1, limits::kAnswers);
  if (!in.ok()) return in.error();
  if (best_of && *best_of != out.n) return not_built("/best_of", "only the value of 'n' is");
  const json::value* prompt = in.find("prompt");
  if (!prompt) return fail(Code::InvalidInput, "required properties at '/' are 'prompt'");
  VERGE_ASSIGN(prompts, read_prompts(*prompt));
  if (static_cast<int>(prompts.size()) * out.n > limits::kAnswers)
    return fail_at(Code::InvalidInput, "/n", "'/n' times the number of prompts must be <= {}", limits::kAnswers);
  out.prompts = std::move(prompts);
  out.params.raw = true;
  return out;
}

json::value chat_logprobs(const std::vector<protocol::TokenLogprob>& tokens) {
  if (tokens.empty()) return nullptr;
  json::array content;
  for (const protocol::TokenLogprob& token : tokens) {
    json::object item = candidate_json(token.chosen);
    json::array top;
    for (const protocol::Candidate& candidate : token.top) top.push_back(candidate_json(candidate));
    item["top_logprobs"] = std::move(top);
    content.push_back(std::move(item));
  }
  return json::object{{"content", std::move(content)}, {"refusal", nullptr}};
}

json::value completion_logprobs(const std::vector<protocol::TokenLogprob>& tokens, size_t offset) {
  if (tokens.empty()) return nullptr;
  json::array texts, logprobs, tops, offsets;
  for (const protocol::TokenLogprob& token : tokens) {
    std::string text = lossy_utf8(token.chosen.text);
    json::object top;
    for (const protocol::Candidate& candidate : token.top) top.emplace(lossy_utf8(candidate.text), finite(candidate.logprob));
    offsets.push_back(offset);
    offset += characters(text);
    texts.push_back(json::value(std::move(text)));
    logprobs.push_back(finite(token.chosen.logprob));
    tops.push_back(token.top.empty() ? json::value(nullptr) : json::value(std::move(top)));
  }
  return json::object{{"tokens", std::move(texts)},
                      {"token_logprobs", std::move(logprobs)},
                      {"top_logprobs", std::move(tops)},
                      {"text_offset", std::move(offsets)}};
}

}  // namespace verge::api
