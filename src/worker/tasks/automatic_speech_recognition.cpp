#include "worker/tasks/automatic_speech_recognition.h"

#include <algorithm>
#include <cmath>

#include "support/limits.h"

namespace verge::worker {
namespace {

// Times have a resolution of 20 ms: what is behind the second digit is noise of the arithmetic.
double seconds(double x) { return std::round(x * 100) / 100; }

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}

Result<> read_temperatures(const json::object& params, std::vector<float>* to) {
  const json::value* value = params.if_contains("temperature");
  if (!value || value->is_null()) return {};
  json::array list;
  if (value->is_array()) list = value->get_array();
  else list.push_back(*value);
  if (list.empty() || list.size() > limits::kSpeechTemperatures) return fail(Code::InvalidInput, "'/temperature' must hold 1 to {} numbers", limits::kSpeechTemperatures);
  to->clear();
  for (const json::value& item : list) {
    const double t = item.is_number() ? item.to_number<double>() : -1;
    if (!(t >= 0 && t <= 1)) return fail(Code::InvalidInput, "'/temperature' must be a number from 0 to 1");
    to->push_back(static_cast<float>(t));
  }
  return {};
}

}  // namespace

Result<SpeechRequest> prepare_speech(const protocol::Request& request) {
  const json::object& params = request.params;
  SpeechRequest speech;
  engine::SpeechOptions& o = speech.options;
  o.seed = 0;  // no parameter asks for other draws: a clip has the same text each time, also where the fallback's temperatures sample
  o.language = get_string(params, "language").value_or("");
  const std::string task = get_string(params, "task").value_or("transcribe");
  if (task != "transcribe" && task != "translate") return fail(Code::InvalidInput, "'/task' must be 'transcribe' or 'translate'");
  o.translate = task == "translate";
  const int64_t beams = get_int(params, "beam_size").value_or(o.beam_size);
  if (beams < 1 || beams > limits::kSpeechHypotheses) return fail(Code::InvalidInput, "'/beam_size' must be 1 to {}", limits::kSpeechHypotheses);
  o.beam_size = static_cast<int>(beams);
  VERGE_TRY(read_temperatures(params, &o.temperatures));
  for (const auto& [key, to] : {std::pair{"initial_prompt", &o.initial_prompt}, {"prefix", &o.prefix}}) {
    *to = get_string(params, key).value_or("");
    if (to->size() > limits::kSpeechPromptBytes) return fail(Code::InvalidInput, "'/{}' has {} bytes, limit {}", key, to->size(), limits::kSpeechPromptBytes);
  }
  o.condition_on_previous_text = get_bool(params, "condition_on_previous_text").value_or(true);
  if (auto value = get_number(params, "no_speech_threshold")) o.no_speech_threshold = *value;
  if (auto value = get_number(params, "compression_ratio_threshold")) o.compression_ratio_threshold = *value;
  if (auto value = get_number(params, "log_prob_threshold")) o.log_prob_threshold = *value;
  if (auto value = get_number(params, "hallucination_silence_threshold")) o.hallucination_silence_threshold = *value;
  if (auto value = get_number(params, "encoder_padding")) o.padding_s = std::clamp(*value, 0.0, 30.0);
  o.words = get_bool(params, "words").value_or(true);
  speech.vad_filter = get_bool(params, "vad_filter").value_or(false);
  speech.parts = get_bool(params, "parts").value_or(false);
  return speech;
}

json::object segment_json(const engine::SpeechSegment& segment) {
  json::array words, tokens;
  for (const engine::WordTime& word : segment.words) {
    words.push_back({{"word", word.word}, {"start", seconds(word.start)}, {"end", seconds(word.end)}, {"probability", word.probability}});
  }
  for (int32_t id : segment.tokens) tokens.push_back(id);
  return {{"start", seconds(segment.start)},
          {"end", seconds(segment.end)},
          {"text", trimmed(segment.text)},
          {"temperature", std::round(segment.temperature * 100) / 100},
          {"avg_logprob", segment.avg_logprob},
          {"compression_ratio", segment.compression_ratio},
          {"no_speech_prob", segment.no_speech_prob},
          {"tokens", std::move(tokens)},
          {"words", std::move(words)}};
}

json::object speech_part(std::span<const engine::SpeechSegment> segments, bool first, const std::string& language, double at, double duration) {
  json::array list;
  std::string text;
  for (const engine::SpeechSegment& segment : segments) {
    text += segment.text;
    list.push_back(segment_json(segment));
  }
  if (first) text.erase(0, text.find_first_not_of(' '));
  return {{"text", text}, {"language", language}, {"seconds", seconds(at)}, {"duration", duration}, {"segments", std::move(list)}};
}

json::object speech_result(const Heard& heard) {
  std::string text;
  json::array segments;
  for (const engine::SpeechSegment& segment : heard.segments) {
    text += segment.text;
    segments.push_back(segment_json(segment));
  }
  return {{"text", trimmed(text)},
          {"language", heard.language},
          {"language_probability", heard.language_probability},
          {"duration", heard.duration},
          {"duration_after_vad", heard.duration_after_vad},
          {"segments", std::move(segments)}};
}

}  // namespace verge::worker
