#include "worker/speech_service.h"

#include <boost/asio/post.hpp>

#include <cmath>
#include <optional>

#include "support/finally.h"
#include "support/limits.h"
#include "worker/turned_away.h"

namespace verge::worker {
namespace asio = boost::asio;
using protocol::task;

namespace {

constexpr int64_t kPrepareMs = limits::kAudioPassMs / 10;  // twice what one pass may take

constexpr const char* kTask = "automatic-speech-recognition";

}  // namespace

SpeechService::SpeechService(asio::any_io_executor io, std::unique_ptr<engine::Backend> backend, std::unique_ptr<engine::Recognizer> recognizer, ServiceOptions options)
    : io_(std::move(io)), options_(std::move(options)), backend_(std::move(backend)), recognizer_(std::move(recognizer)), engine_(std::make_unique<SpeechEngine>(io_, *recognizer_)), prepare_(std::make_unique<PrepareThreads>(1)) {}

SpeechService::~SpeechService() {
  engine_.reset();
  prepare_.reset();
}

task<void> SpeechService::run(protocol::Request request, protocol::EventSink& sink) {
  std::optional<Error> refused = turned_away(
      request, kTask,
      {draining_, static_cast<size_t>(*active_), static_cast<size_t>(limits::kSpeechClips), "clips"});
  if (refused) {
    co_await put_failure(sink, std::move(*refused));
    co_return;
  }
  ++*active_;
  const Finally leave{[active = active_] { --*active; }};

  const auto call = std::make_shared<SpeechCall>(io_);
  call->request = std::move(request);
  const Finally abandon{[call] { call->abandoned = true; }};
  auto preparing = prepare_->run<bool>(
      call->request.tenant, call->request.payload.size(),
      [call, recognizer = recognizer_.get()](const Pool::Abandoned&) -> Result<bool> {
        VERGE_TRY(call->prepare(*recognizer));
        return true;
  });
  auto prepared = co_await std::move(preparing);
  const auto cancelled = co_await asio::this_coro::cancellation_state;
  if (cancelled.cancelled() != asio::cancellation_type::none) { co_return; }
  if (!prepared) call->error = prepared.error();
  call->stage = SpeechStage::Queued;
  bool accepted = false;
  if (!call->error) {
    engine_->submit(call);
    const auto something = [&call = *call] { return call.stage == SpeechStage::Done || call.error || !call.parts.empty(); };
    for (;;) {
      if (!co_await call->wait_until(something)) { co_return; }
      if (call->parts.empty()) break;
      if (!accepted) {
        protocol::Accepted first(0, 0, options_.node, options_.model, false);
        first.load = engine_->busy();
        protocol::Event event = std::move(first);
        if (!co_await sink.put(std::move(event))) { co_return; }
        accepted = true;
      }
      protocol::Event part = protocol::to_part(call->parts.front());
      call->parts.pop_front();
      if (!co_await sink.put(std::move(part))) { co_return; }
    }
  }
  if (call->error) {
    if (call->error->code == Code::Aborted && !call->abandoned) call->error = fail(Code::Timeout, "the clip was not transcribed in time");
    co_await put_failure(sink, std::move(*call->error));
    co_return;
  }
  protocol::Usage usage;
  usage.completion_tokens = call->tokens;
  usage.audio_ms = std::llround(call->duration * 1000);
  usage.encoder_us = std::llround(call->encoder_s * 1e6);
  usage.decoder_us = std::llround(call->decoder_s * 1e6);
  protocol::Result result = protocol::to_result(call->result);
  if (accepted) {
    co_await put_result(sink, std::move(result), usage);
  } else {
    protocol::Accepted first(0, 0, options_.node, options_.model, false);
    first.load = engine_->busy();
    co_await put_answer(sink, std::move(first), std::move(result), usage);
  }
}

json::object SpeechService::status() const {
  json::object out{{"task", kTask}, {"active", *active_}, {"draining", draining_}};
  for (auto& [key, value] : engine_->status()) out[key] = value;
  const Pool::Load prepared = prepare_->load();
  out["work"] = protocol::to_json({engine_->progress(), {"prepare", prepared.ended, prepared.running > 0, kPrepareMs}});
  return out;
}

json::object SpeechService::ready() const {
  const engine::WhisperInfo& info = recognizer_->model().info();
  return {{"task", kTask},
          {"architecture", "whisper"},
          {"weight_bytes", info.weight_bytes},
          {"kv_bytes", recognizer_->cache_bytes()},
          {"context_tokens", info.text_positions}};
}

Result<std::unique_ptr<ModelService>> open_speech_recognition(asio::any_io_executor io, const HostOptions& host, ServiceOptions options) {
  VERGE_ASSIGN(backend, engine::make_cpu_backend({host.threads, ""}));
  VERGE_ASSIGN(recognizer, engine::open_as<std::unique_ptr<engine::Recognizer>>(host.path, *backend, host.open()));
  return std::unique_ptr<ModelService>(std::make_unique<SpeechService>(std::move(io), std::move(backend), std::move(recognizer), std::move(options)));
}

}  // namespace verge::worker
