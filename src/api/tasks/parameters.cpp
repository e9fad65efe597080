#include "api/tasks/parameters.h"

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "api/errors.h"
#include "api/tasks/parameter_types.h"
#include "api/tasks/params.h"

namespace verge::api {
namespace {

using Harmless = bool (*)(const json::value&);

// A parameter's fate on each surface of a table, a letter for each: m met, r refused, a accepted, - not known there.
struct Row {
  std::string_view name;
  std::string_view fates;
  Harmless asks_nothing = nullptr;
  std::string_view hint = {};
};

bool is_empty(const json::value& value) {
  return (value.is_array() && value.get_array().empty()) || (value.is_string() && value.get_string().empty()) ||
         (value.is_object() && value.get_object().empty());
}
bool is_false(const json::value& value) { return is_empty(value) || as_bool(value) == false; }
bool is_true(const json::value& value) { return is_empty(value) || as_bool(value) == true; }

// Numbers of JSON, or written out in a form.
bool is_number(const json::value& value, double wanted) {
  if (is_empty(value)) return true;
  json::object one{{"value", value}};
  Params in(one, ValuesAre::Text);
  return in.number("value", -1e300, 1e300) == wanted;
}
bool is_zero(const json::value& value) { return is_number(value, 0); }
bool is_one(const json::value& value) { return is_number(value, 1); }
bool is_off(const json::value& value) { return is_false(value) || is_number(value, 0) || is_number(value, -1); }

bool is_text(const json::value& value, std::initializer_list<std::string_view> texts) {
  return value.is_string() && std::find(texts.begin(), texts.end(), std::string_view(value.get_string())) != texts.end();
}
bool is_no_tool(const json::value& value) { return is_text(value, {"none", "auto"}); }
bool is_auto(const json::value& value) { return is_empty(value) || is_text(value, {"auto"}); }
bool is_usual_tier(const json::value& value) { return is_text(value, {"auto", "default"}); }
bool is_medium(const json::value& value) { return is_text(value, {"medium"}); }
// The native answer is JSON with everything that "verbose_json" has.
bool is_json_transcript(const json::value& value) { return is_empty(value) || is_text(value, {"json", "verbose_json"}); }
bool is_text_only(const json::value& value) {
  const json::array* list = value.if_array();
  return is_empty(value) || (list && list->size() == 1 && is_text((*list)[0], {"text"}));
}

// The Responses API's word for the form of an answer.
bool is_plain_text(const json::value& value) {
  const json::object* text = value.if_object();
  const json::object* format = text ? get_object(*text, "format") : nullptr;
  return is_empty(value) || (text && (!text->contains("format") || (format && get_string(*format, "type") == "text")));
}

constexpr std::string_view kOneByOne = "asynchronous batches; send the requests one by one";

// Text generation: the native route, chat completions, text completions.
constexpr Row kText[] = {
    {"model", "amm"},
    {"messages", "mmr", is_empty, "it is for chat completions; send 'prompt'"},
    {"prompt", "mrm", is_empty, "it is for text completions; send 'messages'"},
    {"max_tokens", "mmm"},
    {"max_completion_tokens", "mmm"},
    {"temperature", "mmm"},
    {"top_p", "mmm"},
    {"top_k", "mmm"},
    {"min_p", "mmm"},
    {"repetition_penalty", "mmm"},
    {"frequency_penalty", "mmm"},
    {"presence_penalty", "mmm"},
    {"seed", "mmm"},
    {"stop", "mmm"},
    {"stream", "mmm"},
    {"stream_options", "amm"},  // a native stream ends with the usage whatever is said
    {"n", "mmm"},
    {"best_of", "rrm", is_one, "use 'n'"},
    {"logprobs", "mmm"},
    {"top_logprobs", "mmr", is_zero, "text completions have it in 'logprobs'"},
    {"logit_bias", "mmm"},
    {"chat_template_kwargs", "mmr", is_empty, "text completions have no template"},
    {"ignore_eos", "mmm"},
    {"raw", "mrr", is_false, "text completions take the prompt as it is"},
    {"options", "mmm"},
    {"reasoning_effort", "mmm"},
    {"response_format", "mmm"},
    {"guided_json", "mmm"},
    {"guided_regex", "mmm"},
    {"guided_choice", "mmm"},
    {"guided_grammar", "mmm"},
    {"structured_outputs", "mmm"},
    {"grammar", "mmm"},
    {"regex", "mmm"},
    {"ebnf", "mmm"},
    {"tools", "mmr", is_empty, "text completions have no template"},
    {"tool_choice", "mmr", is_no_tool, "text completions have no template"},
    {"parallel_tool_calls", "mma"},
    // Hints to the operator of a service, and of what can only make an answer come sooner.
    {"user", "aaa"},
    {"metadata", "aaa"},
    {"safety_identifier", "aaa"},
    {"prompt_cache_key", "aaa"},
    {"prompt_cache_retention", "aaa"},
    {"prediction", "aaa"},
    {"cache_prompt", "aaa"},
    {"request_id", "aaa"},
    // Published, and not built.
    {"functions", "rrr", is_empty, "use 'tools'"},
    {"function_call", "rrr", is_no_tool, "use 'tool_choice'"},
    {"lora", "rrr", is_empty},
    {"image", "rrr", is_empty, "this model reads text only"},
    {"requests", "rrr", is_empty, kOneByOne},
    {"audio", "rrr", is_empty},
    {"modalities", "rrr", is_text_only, "only [\"text\"] is"},
    {"verbosity", "rrr", is_medium},
    {"web_search_options", "rrr"},
    {"store", "rrr", is_false, "answers are not kept"},
    {"service_tier", "rrr", is_usual_tier},
    {"suffix", "rrr", is_empty},
    {"echo", "rrm", is_false, "text completions have it"},
    {"skip_special_tokens", "rrr", is_true},
    // What other servers of OpenAI's API add, and what would change the answer.
    {"continue_final_message", "rrr", is_false},
    {"add_generation_prompt", "rrr", is_true},
    {"add_special_tokens", "rrr", is_true},
    {"chat_template", "rrr", is_empty},
    {"documents", "rrr", is_empty},
    {"min_tokens", "rrr", is_zero},
    {"stop_token_ids", "rrr", is_empty, "send the text in 'stop'"},
    {"include_stop_str_in_output", "rrr", is_false},
    {"bad_words", "rrr", is_empty, "use 'logit_bias'"},
    {"allowed_token_ids", "rrr", is_empty, "use 'logit_bias'"},
    {"prompt_logprobs", "rrr", is_zero},
    {"truncate_prompt_tokens", "rrr", is_off},
    {"length_penalty", "rrr", is_one},
    {"early_stopping", "rrr", is_false},
    {"use_beam_search", "rrr", is_false},
    {"json_schema", "rrr", is_empty, "use 'response_format'"},
    {"format", "rrr", is_empty, "use 'response_format'"},
    {"text", "rrr", is_plain_text, "use 'response_format'"},
    {"extra_body", "rrr", is_empty, "put what it holds beside the other parameters"},
    {"response_schema", "rrr", is_empty, "use 'response_format'"},
    {"repeat_penalty", "rrr", is_one, "use 'repetition_penalty'"},
    {"n_predict", "rrr", is_off, "use 'max_tokens'"},
    {"num_predict", "rrr", is_off, "use 'max_tokens'"},
    {"typical_p", "rrr", is_one},
    {"tfs_z", "rrr", is_one},
    {"top_a", "rrr", is_zero},
    {"mirostat", "rrr", is_zero},
    {"xtc_probability", "rrr", is_zero},
    {"dry_multiplier", "rrr", is_zero},
    {"dynatemp_range", "rrr", is_zero},
    {"n_probs", "rrr", is_zero, "use 'logprobs'"},
    {"reasoning", "rrr", is_empty, "use 'chat_template_kwargs' where the model's template has a switch"},
    {"thinking", "rrr", is_false, "use 'chat_template_kwargs' where the model's template has a switch"},
    {"enable_thinking", "rrr", is_empty, "put it into 'chat_template_kwargs'"},
};

bool is_standard_tier(const json::value& value) { return is_empty(value) || is_text(value, {"auto", "standard_only"}); }
bool is_standard(const json::value& value) { return is_empty(value) || is_text(value, {"standard"}); }
bool is_disabled(const json::value& value) { return is_empty(value) || is_text(value, {"disabled"}); }

constexpr Row kResponses[] = {
    {"model", "m"},
    {"input", "m"},
    {"instructions", "m"},
    {"previous_response_id", "m"},
    {"store", "m"},
    {"metadata", "m"},
    {"include", "m"},
    {"stream", "m"},
    {"stream_options", "m"},
    {"max_output_tokens", "m"},
    {"temperature", "m"},
    {"top_p", "m"},
    {"top_logprobs", "m"},
    {"text", "m"},
    {"reasoning", "m"},
    {"tools", "m"},
    {"tool_choice", "m"},
    {"parallel_tool_calls", "m"},
    // What Verge's other routes have beside it.
    {"top_k", "m"},
    {"min_p", "m"},
    {"repetition_penalty", "m"},
    {"frequency_penalty", "m"},
    {"presence_penalty", "m"},
    {"seed", "m"},
    {"stop", "m"},
    {"logit_bias", "m"},
    {"ignore_eos", "m"},
    {"chat_template_kwargs", "m"},
    {"options", "m"},
    {"user", "a"},
    {"safety_identifier", "a"},
    {"prompt_cache_key", "a"},
    {"prompt_cache_retention", "a"},
    {"max_tool_calls", "a"},  // of tools that the service calls itself: there are none
    {"background", "r", is_false, "keep the connection open, or use 'stream'"},
    {"conversation", "r", is_empty, "use 'previous_response_id'"},
    {"prompt", "r", is_empty, "send 'input'"},
    {"context_management", "r", is_empty, "leave items out of 'input'"},
    {"truncation", "r", is_disabled, "leave items out of 'input'"},
    {"service_tier", "r", is_usual_tier},
    {"messages", "r", is_empty, "send 'input'"},
    {"max_tokens", "r", nullptr, "use 'max_output_tokens'"},
    {"max_completion_tokens", "r", nullptr, "use 'max_output_tokens'"},
    {"response_format", "r", is_empty, "use 'text'"},
    {"guided_json", "r", is_empty, "use 'text'"},
    {"guided_regex", "r", is_empty, "chat completions have it"},
    {"guided_choice", "r", is_empty, "chat completions have it"},
    {"reasoning_effort", "r", is_empty, "use 'reasoning'"},
    {"verbosity", "r", is_medium},
    {"functions", "r", is_empty, "use 'tools'"},
    {"function_call", "r", is_no_tool, "use 'tool_choice'"},
    {"logprobs", "r", is_false, "use 'include' and 'top_logprobs'"},
    {"n", "r", is_one},
    {"modalities", "r", is_text_only, "only [\"text\"] is"},
    {"lora", "r", is_empty},
    {"requests", "r", is_empty, kOneByOne},
    {"extra_body", "r", is_empty, "put what it holds beside the other parameters"},
};

constexpr Row kMessages[] = {
    {"model", "m"},
    {"messages", "m"},
    {"max_tokens", "m"},
    {"system", "m"},
    {"stop_sequences", "m"},
    {"stream", "m"},
    {"temperature", "m"},
    {"top_k", "m"},
    {"top_p", "m"},
    {"tools", "m"},
    {"tool_choice", "m"},
    {"thinking", "m"},
    {"output_config", "m"},
    {"output_format", "m"},
    // What Verge's other routes have beside it.
    {"min_p", "m"},
    {"repetition_penalty", "m"},
    {"frequency_penalty", "m"},
    {"presence_penalty", "m"},
    {"seed", "m"},
    {"logit_bias", "m"},
    {"ignore_eos", "m"},
    {"chat_template_kwargs", "m"},
    {"options", "m"},
    {"metadata", "a"},
    {"cache_control", "a"},  // what can be cached is, without being asked
    {"container", "r", is_empty},
    {"mcp_servers", "r", is_empty, "call them yourself, and send their tools in 'tools'"},
    {"context_management", "r", is_empty, "leave messages out"},
    {"compaction", "r", is_empty, "ask for a summary in a message"},
    {"thread", "r", is_empty, "no messages are kept here: send all of them"},
    {"inference_geo", "r", is_empty},
    {"speed", "r", is_standard},
    {"service_tier", "r", is_standard_tier},
    {"prompt", "r", is_empty, "send 'messages'"},
    {"max_tokens_to_sample", "r", is_empty, "use 'max_tokens'"},
    {"max_completion_tokens", "r", is_empty, "use 'max_tokens'"},
    {"stop", "r", is_empty, "use 'stop_sequences'"},
    {"response_format", "r", is_empty, "use 'output_config'"},
    {"reasoning_effort", "r", is_empty, "use 'output_config'"},
    {"n", "r", is_one},
    {"requests", "r", is_empty, kOneByOne},
    {"extra_body", "r", is_empty, "put what it holds beside the other parameters"},
};

// Texts to vectors and classes: native embeddings, native classification and reranking, /v1/embeddings.
constexpr Row kVectors[] = {
    {"model", "aam"},
    {"input", "--m"},
    {"text", "mmr", is_empty, "send 'input'"},
    {"query", "mmr", is_empty, "the native route takes it"},
    {"contexts", "mmr", is_empty, "the native route takes it"},
    {"queries", "mrr", is_empty, "the native route of embeddings takes it"},
    {"documents", "mrr", is_empty, "the native route of embeddings takes it"},
    {"instruction", "mrr", is_empty, "the native route of embeddings takes it"},
    {"pooling", "mrr", is_empty, "the native route of embeddings takes it"},
    {"truncate_inputs", "mrm", is_false},
    {"top_k", "rmr", is_empty, "it is for reranking"},
    {"encoding_format", "r-m", is_empty, "/v1/embeddings takes it"},
    {"dimensions", "r-m", is_empty, "/v1/embeddings takes it"},
    {"options", "mmm"},
    {"user", "aaa"},
    {"stream", "rrr", is_false, "these models answer at once"},
    {"requests", "rrr", is_empty, kOneByOne},
    {"input_type", "rrr", is_empty},
    {"truncate", "rrr", is_empty, "use 'truncate_inputs'"},
    {"truncate_prompt_tokens", "rrr", is_off, "use 'truncate_inputs'"},
    {"prompt_name", "rrr", is_empty},
    {"normalize", "rrr", is_true},
    {"lora", "rrr", is_empty},
};

// Speech to text: the native route, OpenAI's forms.
constexpr Row kSpeech[] = {
    {"model", "am"},
    {"audio", "mr", is_empty, "send the clip as 'file'"},
    {"file", "mm"},
    {"task", "mr", is_empty, "/v1/audio/transcriptions and /v1/audio/translations are the choice"},
    {"language", "mm"},
    {"prompt", "rm", is_empty, "use 'initial_prompt'"},
    {"initial_prompt", "mm"},
    {"prefix", "mm"},
    {"temperature", "mm"},
    {"stream", "mm"},
    {"response_format", "rm", is_json_transcript, "the answer is JSON; it has text, segments, words and vtt"},
    {"timestamp_granularities", "rm", is_empty, "the answer has segments and words"},
    {"vad_filter", "mm"},
    {"beam_size", "mm"},
    {"condition_on_previous_text", "mm"},
    {"no_speech_threshold", "mm"},
    {"compression_ratio_threshold", "mm"},
    {"log_prob_threshold", "mm"},
    {"hallucination_silence_threshold", "mm"},
    {"encoder_padding", "mm"},
    {"options", "m-"},
    {"user", "aa"},
    {"chunking_strategy", "rr", is_auto, "clips of any length are read as they are; 'vad_filter' leaves out pauses"},
    {"include", "rr", is_empty},
    {"known_speaker_names", "rr", is_empty},
    {"known_speaker_references", "rr", is_empty},
    {"diarize", "rr", is_false},
    {"hotwords", "rr", is_empty, "name them in the prompt"},
    {"word_timestamps", "rr", is_true, "the answer always has them"},
    {"without_timestamps", "rr", is_false},
    {"best_of", "rr", is_one},
    {"patience", "rr", is_one},
    {"length_penalty", "rr", is_one},
    {"repetition_penalty", "rr", is_one},
    {"no_repeat_ngram_size", "rr", is_zero},
    {"suppress_tokens", "rr", is_empty},
    {"max_new_tokens", "rr"},
    {"clip_timestamps", "rr", is_zero},
    {"vad_parameters", "rr", is_empty},
    {"multilingual", "rr", is_false},
    {"requests", "rr", is_empty, kOneByOne},
    {"lora", "rr", is_empty},
};

// Pictures to classes and boxes.
constexpr Row kPictures[] = {
    {"model", "a"},
    {"image", "m"},
    {"options", "m"},
    {"user", "a"},
    {"stream", "r", is_false, "these models answer at once"},
    {"top_k", "r", is_empty, "the best five classes are answered"},
    {"threshold", "r", is_empty, "boxes that score above 0.5 are answered"},
    {"prompt", "r", is_empty},
    {"labels", "r", is_empty},
    {"requests", "r", is_empty, kOneByOne},
    {"lora", "r", is_empty},
};

// Text to speech: the native route, /v1/audio/speech.
constexpr Row kSpeaking[] = {
    {"model", "am"},
    {"text", "mr", is_empty, "send 'input'"},
    {"prompt", "mr", is_empty, "send 'input'"},
    {"input", "-m"},
    {"voice", "-m"},
    {"speaker", "m-"},
    {"lang", "m-"},
    {"speed", "mm"},
    {"encoding", "mr", is_empty, "use 'response_format'"},
    {"container", "mr", is_empty, "use 'response_format'"},
    {"sample_rate", "mr", is_empty, "'pcm' and 'wav' have 24000 samples a second"},
    {"bit_rate", "mr", is_empty, "the native route takes it"},
    {"response_format", "rm", is_empty, "use 'encoding' and 'container'"},
    {"stream_format", "rm", is_empty, "the native route answers the file as it is made"},
    {"stream", "aa"},  // the file comes as it is made, whatever is said
    {"options", "m-"},
    {"user", "aa"},
    {"instructions", "rr", is_empty, "the voice has one way to speak"},
    {"requests", "rr", is_empty, kOneByOne},
};

constexpr Row kOptions[] = {
    {"rejectIfBusy", "m"},
    {"queueRequest", "r", is_false, kOneByOne},
    {"gateway", "a"},
    {"prefix", "a"},
    {"extraHeaders", "a"},
    {"returnRawResponse", "a"},
    {"tags", "a"},
    {"websocket", "r", is_false, "send a POST"},
};

struct Column {
  std::span<const Row> rows;
  size_t place;
};

Column column_of(Surface surface) {
  switch (surface) {
    case Surface::NativeText: return {kText, 0};
    case Surface::Chat: return {kText, 1};
    case Surface::Completions: return {kText, 2};
    case Surface::Responses: return {kResponses, 0};
    case Surface::Messages: return {kMessages, 0};
    case Surface::NativeEmbeddings: return {kVectors, 0};
    case Surface::NativeClassification: return {kVectors, 1};
    case Surface::Embeddings: return {kVectors, 2};
    case Surface::NativeSpeech: return {kSpeech, 0};
    case Surface::Transcriptions: return {kSpeech, 1};
    case Surface::NativePictures: return {kPictures, 0};
    case Surface::NativeSpeaking: return {kSpeaking, 0};
    case Surface::Speech: return {kSpeaking, 1};
    case Surface::RunOptions: return {kOptions, 0};
  }
  return {};
}

std::optional<Fate> fate_of(char letter) {
  switch (letter) {
    case 'm': return Fate::Met;
    case 'r': return Fate::Refused;
    case 'a': return Fate::Accepted;
    default: return std::nullopt;
  }
}

}  // namespace

std::vector<Parameter> parameters(Surface surface) {
  const auto [rows, place] = column_of(surface);
  std::vector<Parameter> out;
  for (const Row& row : rows)
    if (const auto fate = fate_of(row.fates[place])) out.push_back({row.name, *fate, row.asks_nothing, row.hint});
  return out;
}

Result<std::vector<std::string>> check_parameters(Surface surface, const json::object& body) {
  VERGE_TRY(check_types(surface, body));
  const auto [rows, place] = column_of(surface);
  std::vector<std::string> unknown;
  for (const auto& [key, value] : body) {
    const std::string_view name = key;
    const Row* row = nullptr;
    for (const Row& one : rows)
      if (one.name == name && fate_of(one.fates[place])) row = &one;
    if (!row) unknown.emplace_back(name);
    if (!row || row->fates[place] != 'r' || value.is_null() || value == "") continue;  // forms write null as nothing
    if (!row->asks_nothing || !row->asks_nothing(value)) return not_built(fmt::format("/{}", name), row->hint);
  }
  return unknown;
}

}  // namespace verge::api
