#include "worker/engine_thread.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "support/clock.h"

namespace verge::worker {
namespace {

constexpr int kMeasuredRows = 64;       // steps with fewer rows say little about the speed of prefill

RunnerOptions with(RunnerOptions options, Aside& aside) {
  options.aside = &aside;
  return options;
}

}  // namespace

EngineThread::EngineThread(const engine::LoadedModel& model, engine::KvCache& cache, RunnerOptions options, Deliver deliver)
    : runner_(model, cache, with(std::move(options), aside_)), deliver_(std::move(deliver)) {
  publish();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "engine");
    loop();
  });
}

EngineThread::~EngineThread() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void EngineThread::submit(Runner::Job job) { send(std::move(job)); }
void EngineThread::cancel(uint64_t id) { send(Cancel{id}); }
void EngineThread::hold(uint64_t id, bool held) { send(Hold{id, held}); }

void EngineThread::send(Command command) {
  {
    std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(command));
  }
  wake_.notify_one();
}

EngineThread::Status EngineThread::status() const {
  std::lock_guard lock(mutex_);
  Status status = status_;
  status.called = !inbox_.empty();
  return status;
}

// Waits for commands while there is nothing to compute; false = the thread ends.
bool EngineThread::take_commands(std::vector<Command>& commands, bool idle) {
  const int64_t expiry_ms = runner_.batch().next_expiry();
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return stop_ || !inbox_.empty(); };
  if (idle && expiry_ms == INT64_MAX) wake_.wait(lock, ready);
  else if (idle) wake_.wait_for(lock, std::chrono::milliseconds(std::max<int64_t>(0, expiry_ms - monotonic_ms())), ready);
  commands.swap(inbox_);
  if (stop_) return false;
  status_.stepping = true;
  ++status_.rounds;
  const int decoding = runner_.batch().decoding();
  const int prompt_rows = std::max(pace_.prompt_rows(0), pace_.prompt_rows(decoding));
  status_.most_rows = prompt_rows + limits::kSequences;
  return true;
}

void EngineThread::loop() {
  std::vector<Command> commands;
  std::vector<Output> out;
  bool idle = true;
  while (take_commands(commands, idle)) {
    const int64_t now_ms = monotonic_ms();
    for (Command& command : commands) {
      if (auto* job = std::get_if<Runner::Job>(&command)) runner_.submit(std::move(*job), now_ms, out);
      else if (auto* cancel = std::get_if<Cancel>(&command)) runner_.cancel(cancel->id);
      else if (auto* hold = std::get_if<Hold>(&command)) runner_.hold(hold->id, hold->held);
    }
    commands.clear();
    const int64_t start_us = monotonic_us();
    const Batch& batch = runner_.batch();
    const StepRoom room{pace_.prompt_rows(batch.decoding()), pace_.shared_rows(batch.tenants(now_ms))};
    const int rows = runner_.step(now_ms, room, out);
    const int64_t took_us = std::max<int64_t>(1, monotonic_us() - start_us);
    if (rows > 0) pace_.observe(runner_.answer_rows(), rows - runner_.answer_rows(), took_us);
    if (rows >= kMeasuredRows) {
      const double now = rows * 1e6 / static_cast<double>(took_us);
      rows_per_second_ = rows_per_second_ == 0 ? now : 0.75 * rows_per_second_ + 0.25 * now;
    }
    idle = rows == 0;
    publish();
    if (!out.empty()) deliver_(std::exchange(out, {}));
  }
}

void EngineThread::publish() {
  const Batch& batch = runner_.batch();
  std::lock_guard lock(mutex_);
  if (runner_.steps() != status_.steps) status_.last_step_ms = monotonic_ms();
  status_.running = batch.running();
  status_.waiting = batch.waiting();
  status_.unread_tokens = batch.unread_tokens();
  status_.pages = batch.pages().count();
  status_.free_pages = batch.pages().available() - batch.pages().cached();
  status_.cached_pages = batch.pages().cached();
  status_.steps = runner_.steps();
  status_.tokens = runner_.tokens();
  status_.preemptions = batch.preemptions();
  status_.prompt_tokens = batch.prompt_tokens();
  status_.prefix_hits = batch.prefix_hits();
  status_.prefill_rows_per_second = rows_per_second_;
  status_.stepping = false;
}

}  // namespace verge::worker
