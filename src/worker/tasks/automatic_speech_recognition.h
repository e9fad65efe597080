// Speech to text: the task's parameters (protocol/tasks/automatic_speech_recognition.h) to what the engine runs,
// and what it heard to the task's result. Pure.
#pragma once

#include <span>

#include "engine/speech/transcribe.h"
#include "protocol/tasks/automatic_speech_recognition.h"

namespace verge::worker {

engine::SpeechOptions speech_options(const protocol::SpeechParameters& parameters);

struct Heard {
  std::span<const engine::SpeechSegment> segments;
  std::string language;
  double language_probability = 1;
  double duration = 0, duration_after_vad = 0;  // seconds
};
protocol::Transcript speech_result(const Heard& heard);
// A window's share of the result (`first`: nothing was heard before it), and how far the clip has been heard.
protocol::TranscriptPart speech_part(std::span<const engine::SpeechSegment> segments, bool first, const std::string& language, double seconds,
                                     double duration);

}  // namespace verge::worker
