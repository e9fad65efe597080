// One text on its way to being spoken: the io thread hands it to the engine's, which hands pieces of
// the sound file back.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "engine/speech/synthesizer.h"
#include "media/audio_encoder.h"
#include "protocol/tasks/text_to_speech.h"
#include "worker/pending_call.h"

namespace verge::worker {

enum class SpeakingStage { Speaking, Done };

struct SpeakingCall : PendingCall<SpeakingStage> {
  using PendingCall<SpeakingStage>::PendingCall;

  // True once nobody waits for the answer any more. On the engine's thread.
  bool pointless() const;

  // On the engine's thread: what the file has grown by with one more piece of the text. Errors:
  // InvalidInput where the text has nothing that can be said.
  struct Step {
    std::string bytes;
    bool done = false;
  };
  Result<Step> step(engine::Synthesizer& voice);

  // On the io thread.
  std::deque<std::string> pieces;  // made, not yet handed out
  bool waits_for_room = false;     // enough is made ahead; the engine is told when some is taken
  // Read by the io thread when the call is done.
  protocol::Spoken spoken;
  int64_t characters = 0, engine_us = 0;

 private:
  Result<> begin(engine::Synthesizer& voice);

  bool begun_ = false;
  protocol::SpeakingParameters parameters_;
  std::unique_ptr<media::AudioEncoder> encoder_;
  std::vector<std::string> sentences_;
  size_t next_ = 0;                      // of sentences_
  std::deque<std::u32string> phonemes_;  // of the sentence before it
  uint64_t said_ = 0;                    // pieces
};

}  // namespace verge::worker
