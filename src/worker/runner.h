// The worker's inner loop without its thread: requests in, one step of the batch at a time, events
// out. Holds what a running answer needs beside its tokens (text stream, sampling, limits). No
// thread, socket or clock: engine_thread.cpp gives it all three.
//
// R1 Each submitted id gets exactly one terminal event, unless it is cancelled first.
// R2 The text and ids of an answer depend on its prompt, parameters and seed, not on what else runs,
//    on preemption or on being resumed: sampling is keyed by (seed, length of the answer), text by
//    the ids (stream.h), and the engine gives a row the same bits in any batch.
// R3 An id is given out together with the text that it made certain, so a client that has N ids has
//    exactly the text of N ids. The end of the text that a stop token sets free comes with that
//    token's id, which has no text of its own; else stop tokens are not given out.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/host_threads.h"
#include "engine/load.h"
#include "protocol/event.h"
#include "protocol/tasks/text_generation.h"
#include "worker/aside.h"
#include "worker/batch.h"
#include "worker/stream.h"
#include "worker/tasks/text_generation.h"

namespace verge::worker {

struct Output {
  uint64_t id = 0;
  protocol::Event event;
};

struct RunnerOptions {
  std::string node;    // both are told in Accepted
  std::string model;
  BatchLimits batch;   // pages as the KV cache has
  engine::HostThreads* threads = nullptr;  // that choose tokens side by side; null = the caller's thread alone
  Aside* aside = nullptr;  // makes masks beside the forward pass; null = who chooses makes them
};

class Runner {
 public:
  // model and cache outlive the runner.
  Runner(const engine::LoadedModel& model, engine::KvCache& cache, RunnerOptions options);

  struct Job {
    uint64_t id = 0;             // unique among those here
    Generation generation;
    std::string tenant;
    int64_t deadline_ms = 0;     // on the clock of now_ms; 0 = none
    bool reject_if_busy = false;
  };
  void submit(Job job, int64_t now_ms, std::vector<Output>& out);
  void cancel(uint64_t id);
  void hold(uint64_t id, bool held) { batch_.hold(id, held); }

  // Runs one step; returns the rows computed, 0 = nothing can run now.
  int step(int64_t now_ms, const StepRoom& room, std::vector<Output>& out);
  int answer_rows() const { return answer_rows_; }  // of the last step

  const Batch& batch() const { return batch_; }
  uint64_t steps() const { return steps_; }
  uint64_t tokens() const { return tokens_; }

 private:
  struct Answer {
    Generation generation;
    TextStream stream;
    engine::grammar::Matcher matcher;  // after `ids`, where there is a grammar
    std::vector<int32_t> ids;
    std::vector<protocol::Part> repeated;  // of ids that the client has, until Accepted is out
    size_t calls = 0;                      // begun
    bool accepted = false;
  };

  // Pieces of the answer that `text` made certain, where it is read by a parser. `last`: no more
  // text comes.
  std::vector<protocol::Delta> pieces(Answer& answer, std::string_view text, bool last);
  void repeat(Answer& answer, std::string_view text, bool last);
  void give(uint64_t id, Answer& answer, protocol::Token token, bool last,
            std::vector<Output>& out);
  void accept(uint64_t id, Answer& answer, int64_t cached_tokens, std::vector<Output>& out);
  // A mask depends on the ids so far alone, which are there before the forward pass.
  void begin_masks(const Plan& plan);
  void choose();
  void take(uint64_t id, const engine::Sample& sample, std::vector<Output>& out);
  void end(uint64_t id, const char* reason, std::vector<Output>& out);
  bool is_stop(int32_t id) const;
  protocol::TokenLogprob logprob(const engine::Sample& sample) const;

  const engine::LoadedModel* model_;
  engine::KvCache* cache_;
  RunnerOptions options_;
  Batch batch_;
  std::unordered_map<uint64_t, Answer> answers_;
  std::vector<engine::StepSequence> step_;
  std::vector<float> logits_;
  struct Choice {
    uint64_t id = 0;
    engine::Sample sample;
    std::shared_ptr<const engine::grammar::Mask> mask;
    int aside = -1;  // number of the job that makes the mask
  };
  std::vector<Choice> chosen_;  // of this step, in the order of the plan
  uint64_t steps_ = 0, tokens_ = 0;
  int answer_rows_ = 0;
};

}  // namespace verge::worker
