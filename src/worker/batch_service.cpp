#include "worker/batch_service.h"

#include <boost/asio/post.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "protocol/progress.h"
#include "protocol/report.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/limits.h"
#include "worker/packer.h"
#include "worker/pending_call.h"

namespace verge::worker {
namespace asio = boost::asio;
using protocol::task;

namespace {

constexpr int64_t kPrepareMs = 10'000;  // of the largest picture, on a slow machine
constexpr int64_t kAnswerMs = 5'000;
constexpr int64_t kUnmeasuredRows = 2048;  // what the least batch may cost, before anything was measured
constexpr double kSmoothing = 0.25;  // weight of the newest batch in the measured speed
constexpr size_t kBytesOfCost = 64;  // of input, for each unit of what an admission counts

// Bytes of all strings in lists and by themselves: what there is to read.
size_t text_bytes(const json::object& params) {
  size_t bytes = 0;
  for (const auto& [key, value] : params) {
    if (const json::string* text = value.if_string()) bytes += text->size();
    if (const json::array* list = value.if_array())
      for (const json::value& one : *list)
        if (const json::string* text = one.if_string()) bytes += text->size();
  }
  return bytes;
}

}  // namespace

enum class BatchService::Stage { Preparing, Queued, Ran };

// Crosses between the io thread, the preparing threads and the engine's, which hand it on with a post or under the
// engine's mutex.
struct BatchService::Call : PendingCall<Stage> {
  using PendingCall<Stage>::PendingCall;
  std::unique_ptr<Work> work;
  protocol::Result answer;
};

// The thread that computes. Sleeps while there is nothing to do; else takes what came in, runs one batch, and again.
class BatchService::Engine {
 public:
  Engine(asio::any_io_executor io, SingleShot& task, BatchOptions batch, QueueLimits queue)
      : io_(std::move(io)), task_(task), options_(batch), packer_(queue) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "engine");
      loop();
    });
  }
  ~Engine() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void submit(uint64_t id, std::shared_ptr<Call> call, int64_t deadline_ms) {
    Packer::Job job{id, call->request.tenant, call->work->costs, deadline_ms, call->request.reject_if_busy};
    std::optional<Error> refused;
    {
      std::lock_guard lock(mutex_);
      if (auto taken = packer_.submit(std::move(job), monotonic_ms()); taken) calls_.emplace(id, call);
      else refused = taken.error();
    }
    if (refused) call->reach(Stage::Queued, std::move(refused));
    else wake_.notify_one();
  }
  // Its Work lives until the batch that runs with it has ended: the engine holds the call too.
  void cancel(uint64_t id) {
    std::lock_guard lock(mutex_);
    packer_.cancel(id);
    calls_.erase(id);
  }

  protocol::Progress progress() const {
    std::lock_guard lock(mutex_);
    const bool measured = cost_per_ms_ > 0;
    return {"batch", batches_, running_ > 0 || !packer_.idle(), protocol::expected_ms(measured ? cost_ : kUnmeasuredRows, cost_per_ms_ * 1000, options_.weight_bytes)};
  }
  protocol::Load busy() const {
    std::lock_guard lock(mutex_);
    return load();
  }
  json::object status() const {
    std::lock_guard lock(mutex_);
    protocol::ModelReport report;
    report.loaded = true;
    static_cast<protocol::Load&>(report) = load();
    report.slots = slots_;
    report.prefill_tokens_per_s = cost_per_ms_ * 1000;
    return {{"report", protocol::to_json(report)}, {"waiting", packer_.requests()}, {"waiting_cost", packer_.waiting_cost()}, {"running", running_}, {"stepping", running_ > 0},
            {"steps", batches_},             {"items", items_},                        {"cost_per_second", cost_per_ms_ * 1000},
            {"last_step_ms_ago", last_ms_ == 0 ? -1 : monotonic_ms() - last_ms_}};
  }

 private:
  protocol::Load load() const { return {static_cast<int>(packer_.requests()), running_, packer_.waiting_cost()}; }

  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      for (Packer::Expired& expired : packer_.expire(monotonic_ms())) finish(expired.id, std::move(expired.error));
      if (stop_) return;
      if (packer_.idle()) {
        wait(lock);
        continue;
      }
      const int64_t limit = batch_cost(packer_.waiting_cost(), cost_per_ms_, options_.least_cost, options_.most_cost);
      const auto items = packer_.next(limit, limits::kBatchItems);
      std::vector<BatchItem> batch;
      std::vector<std::shared_ptr<Call>> held;  // a call that is cancelled meanwhile keeps its work until the end
      int64_t cost = 0;
      for (const Packer::Item& item : items) {
        const auto& call = calls_.at(item.id);
        batch.push_back({call->work.get(), item.index});
        cost += call->work->costs[static_cast<size_t>(item.index)];
        held.push_back(call);
      }
      running_ = static_cast<int>(batch.size());
      cost_ = cost;
      lock.unlock();
      const int64_t start_us = monotonic_us();
      task_.run(batch);
      const double took_ms = static_cast<double>(std::max<int64_t>(1, monotonic_us() - start_us)) / 1000;
      lock.lock();
      running_ = 0;
      ++batches_;
      items_ += batch.size();
      last_ms_ = monotonic_ms();
      const int64_t item_cost = std::max<int64_t>(1, cost / static_cast<int64_t>(batch.size()));
      slots_ = static_cast<int>(std::clamp<int64_t>(options_.most_cost / item_cost, 1, limits::kBatchItems));
      // Small batches say little about the speed of large ones.
      if (cost >= options_.least_cost || cost_per_ms_ == 0) {
        const double now = static_cast<double>(cost) / took_ms;
        cost_per_ms_ = cost_per_ms_ == 0 ? now : (1 - kSmoothing) * cost_per_ms_ + kSmoothing * now;
      }
      for (uint64_t id : packer_.done(items)) finish(id, std::nullopt);
    }
  }

  void wait(std::unique_lock<std::mutex>& lock) {
    const auto ready = [this] { return stop_ || !packer_.idle(); };
    const int64_t expiry_ms = packer_.next_expiry();
    if (expiry_ms == INT64_MAX) wake_.wait(lock, ready);
    else wake_.wait_for(lock, std::chrono::milliseconds(std::max<int64_t>(1, expiry_ms - monotonic_ms())), ready);
  }

  void finish(uint64_t id, std::optional<Error> error) {
    const auto it = calls_.find(id);
    if (it == calls_.end()) return;
    asio::post(io_, [call = std::move(it->second), error = std::move(error)]() mutable { call->reach(Stage::Ran, std::move(error)); });
    calls_.erase(it);
  }

  asio::any_io_executor io_;
  SingleShot& task_;
  BatchOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Packer packer_;
  std::unordered_map<uint64_t, std::shared_ptr<Call>> calls_;
  bool stop_ = false;
  int running_ = 0;
  int slots_ = limits::kSequences;  // items like the last ones that a batch has room for
  int64_t cost_ = 0;  // of the batch that runs
  uint64_t batches_ = 0, items_ = 0;
  int64_t last_ms_ = 0;
  double cost_per_ms_ = 0;
  std::thread thread_;  // last: starts when the rest is there
};

BatchService::BatchService(asio::any_io_executor io, std::unique_ptr<SingleShot> task, BatchOptions batch, ServiceOptions options)
    : io_(std::move(io)), task_(std::move(task)), options_(std::move(options)), admission_(std::make_shared<Admission>(options_.queue)) {
  batch.weight_bytes = static_cast<uint64_t>(get_int(task_->ready(), "weight_bytes").value_or(0));
  engine_ = std::make_unique<Engine>(io_, *task_, batch, options_.queue);
  prepare_ = std::make_unique<PrepareThreads>(batch.prepare_threads);
}

BatchService::~BatchService() {
  engine_.reset();
  prepare_.reset();
}

task<void> BatchService::run(protocol::Request request, protocol::EventSink& sink) {
  std::optional<Error> refused;
  if (draining_) refused = fail(Code::Busy, "This worker is shutting down. Try again.");
  else if (!request.task.empty() && request.task != task_->task()) refused = fail(Code::InvalidInput, "This model's task is {}, not {}.", task_->task(), request.task);
  if (refused && refused->code == Code::Busy) refused->retry_after_ms = 1000;
  const int64_t now_ms = monotonic_ms();
  const int64_t deadline_ms = request.deadline_ms == 0 ? 0 : std::max<int64_t>(1, now_ms + request.deadline_ms - unix_ms());
  const uint64_t id = next_id_++;
  const size_t input_bytes = text_bytes(request.params) + request.payload.size();
  if (!refused) {
    const auto cost = static_cast<int64_t>(input_bytes / kBytesOfCost) + 1;
    if (Result<void> entered = admission_->enter(id, request.tenant, cost, deadline_ms, now_ms); !entered) refused = std::move(entered.error());
  }
  if (refused) {
    co_await put_failure(sink, std::move(*refused));
    co_return;
  }
  const Finally leave{[admission = admission_, id] { admission->left(id, monotonic_ms()); }};

  const auto call = std::make_shared<Call>(io_);
  call->request = std::move(request);
  auto preparing = prepare_->run<std::unique_ptr<Work>>(
      call->request.tenant, input_bytes,
      [call, task = task_.get()](const Pool::Abandoned&) { return task->prepare(call->request); });
  auto work = co_await std::move(preparing);
  if (!work && work.error().code == Code::Aborted) co_return;
  if (work) call->work = std::move(*work);
  else call->error = work.error();
  call->stage = Stage::Queued;

  const Finally close{[this, id] { engine_->cancel(id); }};
  if (!call->error) {
    engine_->submit(id, call, deadline_ms);
    if (!co_await call->wait_for(Stage::Ran)) co_return;
    admission_->begun(id, monotonic_ms());
  }
  if (!call->error) {
    auto answering = answer_.run<protocol::Result>([call](const Pool::Abandoned&) { return call->work->answer(); });
    auto answer = co_await std::move(answering);
    if (!answer && answer.error().code == Code::Aborted) co_return;
    if (answer) call->answer = std::move(*answer);
    else call->error = answer.error();
  }
  if (call->error) {
    co_await put_failure(sink, std::move(*call->error));
    co_return;
  }
  protocol::Usage usage;
  usage.prompt_tokens = call->work->prompt_tokens;
  usage.images = call->work->images;
  protocol::Accepted accepted(usage.prompt_tokens, 0, options_.node, options_.model, false);
  accepted.load = engine_->busy();
  co_await put_answer(sink, std::move(accepted), std::move(call->answer), usage);
}

int BatchService::active() const { return admission_->here(); }

json::object BatchService::status() const {
  json::object out{{"task", task_->task()}, {"active", admission_->here()}, {"draining", draining_}};
  for (auto& [key, value] : engine_->status()) out[key] = value;
  const Pool::Load prepared = prepare_->load(), answered = answer_.load();
  out["work"] = protocol::to_json({engine_->progress(), {"prepare", prepared.ended, prepared.running > 0, kPrepareMs}, {"answer", answered.ended, answered.running > 0, kAnswerMs}});
  return out;
}

json::object BatchService::ready() const {
  json::object out{{"task", task_->task()}};
  for (auto& [key, value] : task_->ready()) out[key] = value;
  return out;
}

}  // namespace verge::worker
