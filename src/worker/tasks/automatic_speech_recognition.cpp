#include "worker/tasks/automatic_speech_recognition.h"

#include <algorithm>
#include <cmath>

namespace verge::worker {
namespace {

// Times have a resolution of 20 ms: what is behind the second digit is noise of the arithmetic.
double seconds(double x) { return std::round(x * 100) / 100; }

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}

protocol::TranscriptSegment told(const engine::SpeechSegment& segment) {
  protocol::TranscriptSegment out;
  out.start = seconds(segment.start);
  out.end = seconds(segment.end);
  out.text = trimmed(segment.text);
  out.temperature = std::round(segment.temperature * 100) / 100;
  out.avg_logprob = segment.avg_logprob;
  out.compression_ratio = segment.compression_ratio;
  out.no_speech_prob = segment.no_speech_prob;
  out.tokens.assign(segment.tokens.begin(), segment.tokens.end());
  for (const engine::WordTime& word : segment.words) out.words.push_back({word.word, seconds(word.start), seconds(word.end), word.probability});
  return out;
}

}  // namespace

engine::SpeechOptions speech_options(const protocol::SpeechParameters& p) {
  engine::SpeechOptions o;
  o.seed = 0;  // no parameter asks for other draws: a clip has the same text each time, also where the fallback's temperatures sample
  o.language = p.language.value_or("");
  o.translate = p.task == "translate";
  if (p.beam_size) o.beam_size = static_cast<int>(*p.beam_size);
  if (p.temperature) o.temperatures = {static_cast<float>(*p.temperature)};
  o.initial_prompt = p.initial_prompt.value_or("");
  o.prefix = p.prefix.value_or("");
  o.condition_on_previous_text = p.condition_on_previous_text.value_or(true);
  if (p.no_speech_threshold) o.no_speech_threshold = p.no_speech_threshold;
  if (p.compression_ratio_threshold) o.compression_ratio_threshold = p.compression_ratio_threshold;
  if (p.log_prob_threshold) o.log_prob_threshold = p.log_prob_threshold;
  if (p.hallucination_silence_threshold) o.hallucination_silence_threshold = p.hallucination_silence_threshold;
  if (p.encoder_padding) o.padding_s = std::clamp(*p.encoder_padding, 0.0, 30.0);
  return o;
}

protocol::TranscriptPart speech_part(std::span<const engine::SpeechSegment> segments, bool first, const std::string& language, double at, double duration) {
  protocol::TranscriptPart out;
  for (const engine::SpeechSegment& segment : segments) {
    out.text += segment.text;
    out.segments.push_back(told(segment));
  }
  if (first) out.text.erase(0, out.text.find_first_not_of(' '));
  out.language = language;
  out.seconds = seconds(at);
  out.duration = duration;
  return out;
}

protocol::Transcript speech_result(const Heard& heard) {
  protocol::Transcript out;
  for (const engine::SpeechSegment& segment : heard.segments) {
    out.text += segment.text;
    out.segments.push_back(told(segment));
  }
  out.text = trimmed(out.text);
  out.language = heard.language;
  out.language_probability = heard.language_probability;
  out.duration = heard.duration;
  out.duration_after_vad = heard.duration_after_vad;
  return out;
}

}  // namespace verge::worker
