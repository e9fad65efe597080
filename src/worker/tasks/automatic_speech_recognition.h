// Speech to text: a request's parameters to what the engine runs, and what it heard to the task's result. Pure.
//
// Request.payload: the clip, a sound file. Request.params, normalised by api (absent = the default in brackets):
//   language: string [detected]       task: "transcribe" | "translate" ["transcribe"]
//   beam_size: int [5], 1 = greedy    temperature: number | [number] [0, 0.2 … 1]
//   initial_prompt, prefix: string    condition_on_previous_text: bool [true]
//   no_speech_threshold [0.6], compression_ratio_threshold [2.4], log_prob_threshold [-1], hallucination_silence_threshold [none]
//   vad_filter: bool [false]          words: bool [true]   times of words
//   encoder_padding: seconds [30]     silence that the encoder sees behind a window that is shorter than 30 s, at most
//   parts: bool [false]               a Part event for each window that is done, before the Result:
//     {"text": joined they are the result's, "language", "seconds": of the clip heard so far, "duration", "segments": those of the window, as in the result}
//
// The result:
//   {"text", "language", "language_probability", "duration", "duration_after_vad",
//    "segments": [{"start", "end", "text", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob", "tokens": […],
//                  "words": [{"word", "start", "end", "probability"}]}]}
// Texts of words keep their leading space, texts of segments lose it.
#pragma once

#include <span>

#include "engine/speech/transcribe.h"
#include "protocol/request.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::worker {

struct SpeechRequest {
  engine::SpeechOptions options;
  bool vad_filter = false;
  bool parts = false;
};

// Errors: InvalidInput naming the field.
Result<SpeechRequest> prepare_speech(const protocol::Request& request);

struct Heard {
  std::span<const engine::SpeechSegment> segments;
  std::string language;
  double language_probability = 1;
  double duration = 0, duration_after_vad = 0;  // seconds
};
json::object speech_result(const Heard& heard);
// A window's share of the result (`first`: nothing was heard before it), and how far the clip has been heard.
json::object speech_part(std::span<const engine::SpeechSegment> segments, bool first, const std::string& language, double seconds, double duration);
json::object segment_json(const engine::SpeechSegment& segment);

}  // namespace verge::worker
