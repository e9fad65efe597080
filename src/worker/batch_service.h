// The service of a single-shot task: a request is turned into items, items of all callers run in batches
// (packer.h), and when a request's last item has run its answer is one Result.
//
// Threads: run() and everything public on the io thread; SingleShot::prepare() on threads of its own, since
// decoding a picture or cutting a long text takes a while; SingleShot::run() on the engine's thread alone.
// A request whose run() is cancelled, or whose deadline passes, takes part in no batch that starts later.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "support/pool.h"
#include "worker/admission.h"
#include "worker/model_service.h"
#include "worker/prepare_threads.h"

namespace verge::worker {

// One request's items and what comes of them.
class Work {
 public:
  virtual ~Work() = default;
  std::vector<int64_t> costs;  // of the items, each > 0; >= 1 item
  int64_t prompt_tokens = 0;   // of Accepted and Usage
  int64_t images = 0;          // of Usage
  // After all items have run; on a thread of its own.
  virtual Result<protocol::Result> answer() = 0;
};

struct BatchItem {
  Work* work = nullptr;
  int index = 0;  // into work->costs
};

// What a task does with its model.
class SingleShot {
 public:
  virtual ~SingleShot() = default;
  virtual const char* task() const = 0;
  virtual json::object ready() const = 0;  // figures for the ready line, without "task"
  // Reads the task's parameters (protocol/tasks/<task>.h) and makes items of them. Several may run at once, beside run().
  virtual Result<std::unique_ptr<Work>> prepare(const protocol::Request& request) = 0;
  // Computes the items of a batch, leaving what they came to in their works. An item's outcome depends on nothing
  // else in the batch.
  virtual void run(std::span<const BatchItem> batch) = 0;
};

struct BatchOptions {
  int64_t least_cost = 1;  // of a batch: smaller ones would waste the machine
  int64_t most_cost = 1;   // the largest batch that the model has memory for
  int prepare_threads = 1;
  uint64_t weight_bytes = 0;  // as the task says when it is ready
};

class BatchService : public ModelService {
 public:
  BatchService(boost::asio::any_io_executor io, std::unique_ptr<SingleShot> task, BatchOptions batch, ServiceOptions options);
  ~BatchService() override;

  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;
  void drain() override { draining_ = true; }
  int active() const override;
  json::object status() const override;
  json::object ready() const override;

 private:
  enum class Stage;
  struct Call;
  class Engine;

  boost::asio::any_io_executor io_;
  std::unique_ptr<SingleShot> task_;
  ServiceOptions options_;
  std::shared_ptr<Admission> admission_;  // of run()s that have not ended
  uint64_t next_id_ = 1;
  bool draining_ = false;
  Pool answer_{1};  // its own: an answer that is there must not wait for others' pictures to be decoded
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<PrepareThreads> prepare_;
};

}  // namespace verge::worker
