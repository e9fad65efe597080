// The thread that computes for all clips of a speech model: windows that were admitted are encoded as one batch, then a step of
// the decoder for all windows under way, then again; clips join and leave between two steps. Who is in
// them is worker/speech_batch's decision.
//
// Owner: SpeechService, on the io thread. A call belongs to this thread from submit() until it is told to be Done there.
// A call that nobody waits for any more leaves before the next step; its memory and pages with it.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "protocol/progress.h"
#include "protocol/report.h"
#include "support/json.h"
#include "worker/speech_batch.h"
#include "worker/speech_call.h"

namespace verge::worker {

class SpeechEngine {
 public:
  SpeechEngine(boost::asio::any_io_executor io, engine::Recognizer& recognizer);
  ~SpeechEngine();

  void submit(std::shared_ptr<SpeechCall> call);
  json::object status() const;
  protocol::Load busy() const;
  protocol::Progress progress() const;

 private:
  // A call that is here.
  struct Clip {
    std::shared_ptr<SpeechCall> call;
    std::unique_ptr<engine::EncodedAudio> memory;  // while one of its windows has a place
    double told_s = 0;                             // of its sound that the figures count
  };
  struct Figures {
    uint64_t steps = 0, rows = 0, encodes = 0, windows = 0;
    double audio_s = 0, encoder_s = 0, decoder_s = 0;
    int64_t last_ms = 0;
    // The round of the loop that runs: what it encodes and steps.
    uint64_t rounds = 0;
    bool in_round = false;
    int windows_now = 0, rows_now = 0;
  };

  void loop();
  void take_arrivals(std::vector<std::shared_ptr<SpeechCall>> arrivals);
  void drop_abandoned();
  void encode();
  void step();
  void window_ended(uint64_t id);
  void end(uint64_t id, std::optional<Error> error);
  void free_place(uint64_t id);
  template <class F>
  double timed(double Figures::* total, const F& f);

  boost::asio::any_io_executor io_;
  engine::Recognizer& recognizer_;
  // The thread's own.
  SpeechBatch batch_;
  std::map<uint64_t, Clip> clips_;
  std::vector<std::unique_ptr<engine::EncodedAudio>> memories_;  // free ones
  uint64_t next_id_ = 1;
  // Shared.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<SpeechCall>> arrived_;
  Figures figures_;
  int waiting_ = 0, running_ = 0;
  bool stop_ = false;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace verge::worker
