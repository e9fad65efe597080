// One clip on its way: the io thread hands it to a preparing thread, that to the engine's (speech_engine.h), which hands
// pieces of its transcript and its end back to the io thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/speech/clip.h"
#include "engine/speech/recognizer.h"
#include "engine/speech/transcribe.h"
#include "worker/pending_call.h"
#include "worker/tasks/automatic_speech_recognition.h"

namespace verge::worker {

enum class SpeechStage { Preparing, Queued, Done };

struct SpeechCall : PendingCall<SpeechStage> {
  using PendingCall<SpeechStage>::PendingCall;

  // True once nobody waits for the answer any more. Any thread.
  bool pointless() const;

  // On the preparing thread: the parameters, the decoded and measured clip. Errors: InvalidInput, TooLarge, Aborted …
  Result<> prepare(engine::Recognizer& recognizer);

  // On the engine's thread. What has been heard since the last call; all of it.
  protocol::TranscriptPart take_part();
  protocol::Transcript whole();

  protocol::SpeechParameters speech;
  double duration = 0;  // of the whole clip, seconds
  std::unique_ptr<engine::Transcription> transcription;  // from prepare() on, until the engine is done with it
  double encoder_s = 0, decoder_s = 0;                   // its share of the engine's time

  // On the io thread.
  std::deque<protocol::TranscriptPart> parts;  // heard, not yet handed out
  protocol::Transcript result;
  int64_t tokens = 0;

 private:
  std::vector<engine::SpeechSegment> heard(size_t from) const;

  std::unique_ptr<engine::SampleSource> source_;
  std::unique_ptr<engine::RangedSamples> speech_parts_;  // where the filter left something out
  std::vector<engine::SampleRange> ranges_;
  std::unique_ptr<engine::Clip> clip_;
  size_t parted_ = 0;  // segments handed out in parts
};

}  // namespace verge::worker
