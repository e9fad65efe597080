#include "worker/speaking_service.h"

#include <boost/asio/post.hpp>

#include "protocol/progress.h"
#include "support/finally.h"
#include "support/voice_limits.h"
#include "worker/turned_away.h"

namespace verge::worker {
namespace asio = boost::asio;
using protocol::task;

namespace {

constexpr const char* kTask = "text-to-speech";
constexpr size_t kAhead = 3;         // pieces that are made before the client takes one
constexpr int64_t kStepMs = 20'000;  // the longest piece, on a slow machine

}  // namespace

SpeakingService::SpeakingService(asio::any_io_executor io, std::unique_ptr<engine::Backend> backend,
                                 std::unique_ptr<engine::Synthesizer> voice, ServiceOptions options)
    : io_(std::move(io)), options_(std::move(options)), backend_(std::move(backend)), voice_(std::move(voice)),
      thread_([this] { loop(); }) {}

SpeakingService::~SpeakingService() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void SpeakingService::submit(std::shared_ptr<SpeakingCall> call) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(call));
  }
  wake_.notify_one();
}

void SpeakingService::loop() {
  for (;;) {
    std::shared_ptr<SpeakingCall> call;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      call = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
    }
    Result<SpeakingCall::Step> step = Error{Code::Timeout, "the text was not spoken in time"};
    if (!call->pointless()) {
      try {
        step = call->step(*voice_);
      } catch (const std::bad_alloc&) {
        step = fail(Code::Busy, "no memory for this text at the moment");
      }
    }
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
      ++steps_;
    }
    tell(call, std::move(step));
  }
}

// From the engine's thread; what it says is done on the io thread.
void SpeakingService::tell(const std::shared_ptr<SpeakingCall>& call, Result<SpeakingCall::Step> step) {
  asio::post(io_, [this, call, step = std::move(step)]() mutable {
    if (call->abandoned) return;  // the service may be gone, too
    if (!step) return call->reach(SpeakingStage::Done, step.error());
    if (!step->bytes.empty()) call->pieces.push_back(std::move(step->bytes));
    if (step->done) return call->reach(SpeakingStage::Done);
    if (call->pieces.size() < kAhead) submit(call);
    else call->waits_for_room = true;
    call->wake.cancel();
  });
}

task<void> SpeakingService::run(protocol::Request request, protocol::EventSink& sink) {
  std::optional<Error> refused = turned_away(
      request, kTask,
      {draining_, static_cast<size_t>(*active_), static_cast<size_t>(limits::kSpeakers), "texts"});
  if (refused) {
    co_await put_failure(sink, std::move(*refused));
    co_return;
  }
  ++*active_;
  const Finally leave{[active = active_] { --*active; }};
  const auto call = std::make_shared<SpeakingCall>(io_);
  call->request = std::move(request);
  const Finally abandon{[call] { call->abandoned = true; }};
  submit(call);
  bool accepted = false;
  const auto something = [&call = *call] { return call.stage == SpeakingStage::Done || call.error || !call.pieces.empty(); };
  for (;;) {
    if (!co_await call->wait_until(something)) { co_return; }
    if (call->pieces.empty()) break;
    if (!accepted) {
      protocol::Accepted first(0, 0, options_.node, options_.model, false);
      protocol::Event event = std::move(first);
      if (!co_await sink.put(std::move(event))) { co_return; }
      accepted = true;
    }
    protocol::Part part(json::object{}, protocol::Blob{"", std::move(call->pieces.front())});
    call->pieces.pop_front();
    if (std::exchange(call->waits_for_room, false)) submit(call);
    protocol::Event event = std::move(part);
    if (!co_await sink.put(std::move(event))) { co_return; }
  }
  if (call->error) {
    co_await put_failure(sink, std::move(*call->error));
    co_return;
  }
  protocol::Usage usage;
  usage.audio_ms = static_cast<int64_t>(call->spoken.duration * 1000 + 0.5);
  usage.characters = call->characters;
  usage.decoder_us = call->engine_us;
  co_await put_result(sink, protocol::to_result(call->spoken), usage);
}

json::object SpeakingService::status() const {
  json::object out{{"task", kTask}, {"active", *active_}, {"draining", draining_}};
  const std::lock_guard lock(mutex_);
  out["work"] = protocol::to_json({{"step", steps_, busy_, kStepMs}});
  return out;
}

json::object SpeakingService::ready() const {
  return {{"task", kTask}, {"architecture", "hibari"}, {"weight_bytes", voice_->info().weight_bytes}, {"kv_bytes", 0}};
}

Result<std::unique_ptr<ModelService>> open_text_to_speech(asio::any_io_executor io, const HostOptions& host, ServiceOptions options) {
  VERGE_ASSIGN(backend, engine::make_cpu_backend({host.threads, ""}));
  VERGE_ASSIGN(voice, engine::open_as<std::unique_ptr<engine::Synthesizer>>(host.path, *backend, host.open()));
  return std::unique_ptr<ModelService>(
      std::make_unique<SpeakingService>(std::move(io), std::move(backend), std::move(voice), std::move(options)));
}

}  // namespace verge::worker
