// A voice as a Service: requests of the task text-to-speech in, a sound file in Parts out.
//
// Threads: run() and everything public on the io thread; the voice is used on the engine's thread
// alone, which takes a piece of each text in turn: a long text does not hold up a short one. Of each
// text a few pieces are made ahead of what the client has taken, no more.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "worker/model_service.h"
#include "worker/speaking_call.h"

namespace verge::worker {

class SpeakingService : public ModelService {
 public:
  SpeakingService(boost::asio::any_io_executor io, std::unique_ptr<engine::Backend> backend,
                  std::unique_ptr<engine::Synthesizer> voice, ServiceOptions options);
  ~SpeakingService() override;

  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;
  void drain() override { draining_ = true; }
  int active() const override { return *active_; }
  json::object status() const override;
  json::object ready() const override;

 private:
  void submit(std::shared_ptr<SpeakingCall> call);
  void loop();
  void tell(const std::shared_ptr<SpeakingCall>& call, Result<SpeakingCall::Step> step);

  boost::asio::any_io_executor io_;
  ServiceOptions options_;
  std::unique_ptr<engine::Backend> backend_;  // outlives voice_
  std::unique_ptr<engine::Synthesizer> voice_;
  std::shared_ptr<int> active_ = std::make_shared<int>(0);
  bool draining_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<SpeakingCall>> queue_;
  bool stop_ = false, busy_ = false;
  uint64_t steps_ = 0;
  std::thread thread_;  // last: starts when the rest is there
};

// Errors: LoadFailed, Io.
Result<std::unique_ptr<ModelService>> open_text_to_speech(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);

}  // namespace verge::worker
