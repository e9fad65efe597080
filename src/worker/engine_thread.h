// The thread on which the model runs. It sleeps while there is nothing to do; else it takes what came
// in (requests, cancellations), runs one step, hands the step's events over in one batch, and again.
//
// Owner: whoever makes it; the destructor ends the thread after the step that runs. submit(), cancel(),
// hold() and status() may be called from any thread and never wait for a step. deliver() is called on
// the engine's thread and must not block.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "worker/aside_thread.h"
#include "worker/pace.h"
#include "worker/runner.h"

namespace verge::worker {

class EngineThread {
 public:
  using Deliver = std::function<void(std::vector<Output> outputs)>;
  EngineThread(const engine::LoadedModel& model, engine::KvCache& cache, RunnerOptions options, Deliver deliver);
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  void submit(Runner::Job job);
  void cancel(uint64_t id);
  void hold(uint64_t id, bool held);

  struct Status {
    int running = 0, waiting = 0;
    int64_t unread_tokens = 0;    // of prompts
    int pages = 0, free_pages = 0, cached_pages = 0;  // free = neither held nor cached
    uint64_t steps = 0, tokens = 0, preemptions = 0;
    uint64_t prompt_tokens = 0, prefix_hits = 0;
    int64_t last_step_ms = 0;     // monotonic; 0 = none yet
    bool stepping = false;        // a step runs now
    bool called = false;          // it has something to take
    double prefill_rows_per_second = 0;
    uint64_t rounds = 0;          // begun: each takes what came in and runs a step
    int most_rows = 0;            // that the step of this round may have
  };
  Status status() const;

 private:
  struct Cancel { uint64_t id; };
  struct Hold { uint64_t id; bool held; };
  using Command = std::variant<Runner::Job, Cancel, Hold>;

  void loop();
  void send(Command command);
  bool take_commands(std::vector<Command>& commands, bool idle);
  void publish();

  AsideThread aside_;
  Runner runner_;
  Deliver deliver_;
  Pace pace_;
  double rows_per_second_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> inbox_;
  bool stop_ = false;
  Status status_;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace verge::worker
