// A loaded model as a Service: requests of the task text-generation in, events out. The same code
// answers in a worker process (worker.cpp) and inside `verge run`.
//
// Threads: run() and everything public on the io thread; prompts are rendered and tokenised on one
// thread of their own, since a long one takes longer than a step; the model runs on the engine's.
// Cancelling run(), or a sink that says its receiver is gone, frees the sequence before the next step.
// A receiver that takes its events too slowly gets its sequence held: no memory grows behind it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <memory>
#include <string>

#include "protocol/service.h"
#include "worker/engine_thread.h"
#include "worker/host.h"

namespace verge::worker {

class TextService : public protocol::Service {
 public:
  struct Options {
    std::string node;    // told in Accepted
    std::string model;   // id, told in Accepted
    QueueLimits queue;
  };
  // `host` outlives the service. All of run() that still waits must have ended before the destructor.
  TextService(boost::asio::any_io_executor io, Host& host, Options options);
  ~TextService() override;

  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;

  // New requests are refused as Busy from now on; those here go on.
  void drain() { draining_ = true; }
  int active() const;           // run()s that have not ended
  json::object status() const;            // of GET /v1/status

 private:
  struct Calls;  // answers on their way, shared with what the engine's thread posts

  boost::asio::any_io_executor io_;
  Host* host_;
  std::shared_ptr<Calls> calls_;
  boost::asio::thread_pool prepare_{1};
  std::unique_ptr<EngineThread> engine_;
  bool draining_ = false;
};

}  // namespace verge::worker
