// A loaded Whisper model as a Service: requests of the task automatic-speech-recognition in, one Result out.
//
// Threads: run() and everything public on the io thread. A clip is decoded and measured on a preparing thread; the model runs on
// the engine's thread, for all clips together (speech_engine.h). A request whose run() is cancelled is left at the next step.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "engine/speech/recognizer.h"
#include "support/pool.h"
#include "worker/model_service.h"
#include "worker/prepare_threads.h"
#include "worker/speech_engine.h"

namespace verge::worker {

class SpeechService : public ModelService {
 public:
  SpeechService(boost::asio::any_io_executor io, std::unique_ptr<engine::Backend> backend, std::unique_ptr<engine::Recognizer> recognizer, ServiceOptions options);
  ~SpeechService() override;

  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;
  void drain() override { draining_ = true; }
  int active() const override { return *active_; }
  json::object status() const override;
  json::object ready() const override;

 private:
  boost::asio::any_io_executor io_;
  ServiceOptions options_;
  std::unique_ptr<engine::Backend> backend_;  // outlives recognizer_
  std::unique_ptr<engine::Recognizer> recognizer_;
  std::shared_ptr<int> active_ = std::make_shared<int>(0);
  bool draining_ = false;
  std::unique_ptr<SpeechEngine> engine_;
  std::unique_ptr<PrepareThreads> prepare_;
};

// Errors: LoadFailed, Io.
Result<std::unique_ptr<ModelService>> open_speech_recognition(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);

}  // namespace verge::worker
