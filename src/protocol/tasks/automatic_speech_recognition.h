// Speech to text between api and worker. Request.payload is the clip, a sound file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/event.h"

namespace verge::protocol {

struct SpeechParameters {
  std::optional<std::string> task;      // "transcribe" (also where there is none), "translate"
  std::optional<std::string> language;  // "en"; none: detected
  std::optional<bool> vad_filter;       // none: false
  std::optional<std::string> initial_prompt, prefix;
  std::optional<int64_t> beam_size;  // 1 = greedy; none: 5
  std::optional<bool> condition_on_previous_text;  // none: true
  std::optional<double> no_speech_threshold, compression_ratio_threshold, log_prob_threshold;  // none: 0.6, 2.4, -1
  std::optional<double> hallucination_silence_threshold;
  std::optional<double> encoder_padding;  // seconds of silence that the encoder sees behind a window, at most; none: 30
  std::optional<double> temperature;      // none: 0, and up to 1 where that does not do
  bool parts = false;  // a Part (TranscriptPart) for each window that is done, before the Result
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("task", self.task);
    visit("language", self.language);
    visit("vad_filter", self.vad_filter);
    visit("initial_prompt", self.initial_prompt);
    visit("prefix", self.prefix);
    visit("beam_size", self.beam_size);
    visit("condition_on_previous_text", self.condition_on_previous_text);
    visit("no_speech_threshold", self.no_speech_threshold);
    visit("compression_ratio_threshold", self.compression_ratio_threshold);
    visit("log_prob_threshold", self.log_prob_threshold);
    visit("hallucination_silence_threshold", self.hallucination_silence_threshold);
    visit("encoder_padding", self.encoder_padding);
    visit("temperature", self.temperature);
    visit("parts", self.parts);
  }
  bool operator==(const SpeechParameters&) const = default;
};
json::object to_json(const SpeechParameters& parameters);
// What the engine could not bear is refused: limits::kSpeechHypotheses, kSpeechPromptBytes, a temperature past 1.
verge::Result<SpeechParameters> speech_parameters(const json::object& params);

struct TranscriptWord {
  std::string word;  // with its leading space
  double start = 0, end = 0, probability = 0;  // seconds
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("word", self.word);
    visit("start", self.start);
    visit("end", self.end);
    visit("probability", self.probability);
  }
  bool operator==(const TranscriptWord&) const = default;
};

struct TranscriptSegment {
  double start = 0, end = 0;  // seconds
  std::string text;           // without spaces around it
  double temperature = 0, avg_logprob = 0, compression_ratio = 0, no_speech_prob = 0;
  std::vector<int32_t> tokens;
  std::vector<TranscriptWord> words;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("start", self.start);
    visit("end", self.end);
    visit("text", self.text);
    visit("temperature", self.temperature);
    visit("avg_logprob", self.avg_logprob);
    visit("compression_ratio", self.compression_ratio);
    visit("no_speech_prob", self.no_speech_prob);
    visit("tokens", self.tokens);
    visit("words", self.words);
  }
  bool operator==(const TranscriptSegment&) const = default;
};

struct Transcript {
  std::string text, language;
  double language_probability = 0;
  double duration = 0, duration_after_vad = 0;  // of the clip, seconds
  std::vector<TranscriptSegment> segments;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("text", self.text);
    visit("language", self.language);
    visit("language_probability", self.language_probability);
    visit("duration", self.duration);
    visit("duration_after_vad", self.duration_after_vad);
    visit("segments", self.segments);
  }
  bool operator==(const Transcript&) const = default;
};
Result to_result(const Transcript& transcript);
verge::Result<Transcript> transcript(const Result& result);

// A window's share of it; the texts of all joined are the transcript's.
struct TranscriptPart {
  std::string text, language;
  double seconds = 0, duration = 0;  // of the clip: heard so far, all
  std::vector<TranscriptSegment> segments;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("text", self.text);
    visit("language", self.language);
    visit("seconds", self.seconds);
    visit("duration", self.duration);
    visit("segments", self.segments);
  }
  bool operator==(const TranscriptPart&) const = default;
};
Part to_part(const TranscriptPart& part);
verge::Result<TranscriptPart> transcript_part(const Part& part);

}  // namespace verge::protocol
