#include "worker/speech_engine.h"

#include <boost/asio/post.hpp>

#include <pthread.h>

#include "support/clock.h"
#include "support/limits.h"

namespace verge::worker {
namespace asio = boost::asio;
using State = engine::Transcription::State;

namespace {

SpeechBatch::Room room_of(const engine::Recognizer& recognizer) {
  const engine::SpeechRoom& room = recognizer.room();
  return {room.windows, room.encoder_windows, room.pages, limits::kBatchTokens};
}

Error client_left() { return fail(Code::Aborted, "the client left"); }

}  // namespace

SpeechEngine::SpeechEngine(asio::any_io_executor io, engine::Recognizer& recognizer) : io_(std::move(io)), recognizer_(recognizer), batch_(room_of(recognizer)) {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "engine");
    loop();
  });
}

SpeechEngine::~SpeechEngine() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SpeechEngine::submit(std::shared_ptr<SpeechCall> call) {
  {
    std::lock_guard lock(mutex_);
    arrived_.push_back(std::move(call));
  }
  wake_.notify_one();
}

json::object SpeechEngine::status() const {
  std::lock_guard lock(mutex_);
  const Figures& f = figures_;
  protocol::ModelReport report;
  report.loaded = true;
  report.queued = waiting_ + static_cast<int>(arrived_.size());
  report.running = running_;
  report.slots = recognizer_.room().windows;
  return {{"report", protocol::to_json(report)}, {"waiting", waiting_ + static_cast<int>(arrived_.size())}, {"running", running_}, {"stepping", running_ > 0}, {"steps", f.steps}, {"step_rows", f.rows},
          {"encoder_batches", f.encodes}, {"encoder_windows", f.windows}, {"audio_seconds", f.audio_s}, {"encoder_seconds", f.encoder_s},
          {"decoder_seconds", f.decoder_s}, {"busy_seconds", f.encoder_s + f.decoder_s}, {"last_step_ms_ago", f.last_ms == 0 ? -1 : monotonic_ms() - f.last_ms}};
}

protocol::Load SpeechEngine::busy() const {
  std::lock_guard lock(mutex_);
  return {waiting_ + static_cast<int>(arrived_.size()), running_, 0};
}

void SpeechEngine::loop() {
  for (;;) {
    std::vector<std::shared_ptr<SpeechCall>> arrivals;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !arrived_.empty() || !clips_.empty(); });
      if (stop_) break;
      arrivals = std::exchange(arrived_, {});
      ++figures_.rounds;
      figures_.in_round = true;
    }
    take_arrivals(std::move(arrivals));
    drop_abandoned();
    encode();
    step();
    std::lock_guard lock(mutex_);
    waiting_ = batch_.waiting();
    running_ = batch_.running();
    figures_.in_round = false;
    figures_.windows_now = figures_.rows_now = 0;
    figures_.last_ms = monotonic_ms();
  }
  while (!clips_.empty()) end(clips_.begin()->first, client_left());
}

void SpeechEngine::take_arrivals(std::vector<std::shared_ptr<SpeechCall>> arrivals) {
  for (auto& call : arrivals) {
    const uint64_t id = next_id_++;
    Clip clip;
    clip.call = std::move(call);
    const bool done = clip.call->transcription->done();  // silence
    const std::string tenant = clip.call->request.tenant;
    const int pages = clip.call->transcription->pages();
    clips_.emplace(id, std::move(clip));
    if (done) window_ended(id);
    else batch_.submit(id, tenant, pages);
  }
}

void SpeechEngine::drop_abandoned() {
  std::vector<uint64_t> gone;
  for (const auto& [id, clip] : clips_) {
    if (clip.call->pointless()) gone.push_back(id);
  }
  for (uint64_t id : gone) end(id, client_left());
}

template <class F>
double SpeechEngine::timed(double Figures::* total, const F& f) {
  const int64_t start = monotonic_us();
  f();
  const double seconds = static_cast<double>(monotonic_us() - start) / 1e6;
  std::lock_guard lock(mutex_);
  figures_.*total += seconds;
  return seconds;
}

// Before anything was measured: a window is as many rows as the encoder has positions, a row of the decoder one.
protocol::Progress SpeechEngine::progress() const {
  const engine::WhisperInfo& info = recognizer_.model().info();
  std::lock_guard lock(mutex_);
  const Figures& f = figures_;
  const double windows_per_s = f.encoder_s > 0 ? static_cast<double>(f.windows) / f.encoder_s : 0;
  const double rows_per_s = f.decoder_s > 0 ? static_cast<double>(f.rows) / f.decoder_s : 0;
  const int64_t encoded = windows_per_s > 0 ? f.windows_now : int64_t{f.windows_now} * info.audio_positions;
  const int64_t ms = protocol::expected_ms(encoded, windows_per_s, info.weight_bytes) + protocol::expected_ms(f.rows_now, rows_per_s, info.weight_bytes);
  return {"round", f.rounds, f.in_round || !arrived_.empty(), ms};
}

void SpeechEngine::encode() {
  std::vector<engine::EncoderWindow> windows;
  std::vector<uint64_t> ids;
  for (uint64_t id : batch_.admit()) {
    Clip& clip = clips_.at(id);
    if (auto read = clip.call->transcription->prepare(); !read) {
      end(id, read.error());
      continue;
    }
    if (memories_.empty()) memories_.push_back(std::make_unique<engine::EncodedAudio>());
    clip.memory = std::move(memories_.back());
    memories_.pop_back();
    windows.push_back(clip.call->transcription->window(clip.memory.get()));
    ids.push_back(id);
  }
  if (windows.empty()) return;
  Result<> encoded;
  {
    std::lock_guard lock(mutex_);
    figures_.windows_now = static_cast<int>(windows.size());
  }
  const double encoder_s = timed(&Figures::encoder_s, [&] { encoded = recognizer_.model().encode(windows); });
  if (!encoded) {
    for (uint64_t id : ids) end(id, encoded.error());
    return;
  }
  for (uint64_t id : ids) {
    SpeechCall& call = *clips_.at(id).call;
    call.encoder_s += encoder_s / static_cast<double>(ids.size());
    call.decoder_s += timed(&Figures::decoder_s, [&] { call.transcription->encoded(); });
  }
  std::lock_guard lock(mutex_);
  ++figures_.encodes;
  figures_.windows += windows.size();
}

void SpeechEngine::step() {
  const auto ids = batch_.step([this](uint64_t id) { return clips_.at(id).call->transcription->decoding()->rows(); });
  if (ids.empty()) return;
  std::vector<engine::Decoding*> decodings;
  std::vector<int> shares;
  int rows = 0;
  for (uint64_t id : ids) {
    decodings.push_back(clips_.at(id).call->transcription->decoding());
    shares.push_back(decodings.back()->rows());
    rows += shares.back();
  }
  {
    std::lock_guard lock(mutex_);
    figures_.rows_now = rows;
  }
  const double step_s = timed(&Figures::decoder_s, [&] { recognizer_.step(decodings); });
  std::vector<uint64_t> ended;
  for (size_t i = 0; i < ids.size(); ++i) {
    SpeechCall& call = *clips_.at(ids[i]).call;
    call.decoder_s += step_s * shares[i] / rows;
    call.decoder_s += timed(&Figures::decoder_s, [&] { call.transcription->stepped(); });
    if (call.transcription->state() != State::Decoding) ended.push_back(ids[i]);
  }
  {
    std::lock_guard lock(mutex_);
    ++figures_.steps;
    figures_.rows += static_cast<uint64_t>(rows);
  }
  for (uint64_t id : ended) window_ended(id);
}

void SpeechEngine::window_ended(uint64_t id) {
  free_place(id);
  Clip& clip = clips_.at(id);
  engine::Transcription& transcription = *clip.call->transcription;
  {
    std::lock_guard lock(mutex_);
    figures_.audio_s += transcription.seconds_done() - clip.told_s;
    clip.told_s = transcription.seconds_done();
  }
  if (clip.call->speech.parts) {
    asio::post(io_, [call = clip.call, part = clip.call->take_part()]() mutable {
      call->parts.push_back(std::move(part));
      call->wake.cancel();
    });
  }
  if (transcription.done()) return end(id, std::nullopt);
  batch_.submit(id, clip.call->request.tenant, transcription.pages());
}

void SpeechEngine::free_place(uint64_t id) {
  batch_.remove(id);
  auto& memory = clips_.at(id).memory;
  if (memory) memories_.push_back(std::move(memory));
}

void SpeechEngine::end(uint64_t id, std::optional<Error> error) {
  const auto call = clips_.at(id).call;
  protocol::Transcript result;
  if (!error) result = call->whole();
  const int64_t tokens = call->transcription->tokens();
  call->transcription.reset();  // its pages are the recognizer's, which this thread alone may touch
  free_place(id);
  clips_.erase(id);
  asio::post(io_, [call, tokens, result = std::move(result), error = std::move(error)]() mutable {
    call->result = std::move(result);
    call->tokens = tokens;
    call->reach(SpeechStage::Done, std::move(error));
  });
}

}  // namespace verge::worker
