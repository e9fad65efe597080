// A loaded model as a Service: requests of the task text-generation in, events out. The same code
// answers in a worker process (worker.cpp) and inside `verge run`.
//
// Threads: run() and everything public on the io thread; prompts are rendered and tokenised on
// threads of their own, since a long one takes longer than a step; the model runs on the engine's.
// Whether a request is let in is decided on the io thread (admission.h), before anything is done for it.
// Cancelling run(), or a sink that says its receiver is gone, frees the sequence before the next step.
// A receiver that takes its events too slowly gets its sequence held: no memory grows behind it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "support/pool.h"
#include "worker/engine_thread.h"
#include "worker/grammars.h"
#include "worker/model_service.h"
#include "worker/prepare_threads.h"

namespace verge::worker {

class TextService : public ModelService {
 public:
  using Options = ServiceOptions;
  // `host` outlives the service. All of run() that still waits must have ended before the destructor.
  TextService(boost::asio::any_io_executor io, Host& host, Options options);
  TextService(boost::asio::any_io_executor io, std::unique_ptr<Host> host, Options options);
  ~TextService() override;

  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;

  void drain() override { draining_ = true; }
  int active() const override;
  json::object status() const override;
  json::object ready() const override;

 private:
  protocol::task<void> count_tokens(protocol::TextParameters params, std::string tenant, int64_t deadline_ms,
                                    protocol::EventSink& sink);

  struct Calls;  // answers on their way, shared with what the engine's thread posts

  boost::asio::any_io_executor io_;
  std::unique_ptr<Host> own_host_;  // null where the caller keeps it
  Host* host_;
  std::string node_, model_;  // names in Accepted
  std::shared_ptr<Calls> calls_;
  std::shared_ptr<Grammars> grammars_;
  std::unique_ptr<EngineThread> engine_;
  std::unique_ptr<PrepareThreads> prepare_;
  bool draining_ = false;
};

}  // namespace verge::worker
