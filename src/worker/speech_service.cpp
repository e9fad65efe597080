#include "worker/speech_service.h"

#include <boost/asio/post.hpp>

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/speech/clip.h"
#include "engine/speech/transcribe.h"
#include "engine/speech/vad.h"
#include "media/audio.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/limits.h"
#include "worker/pending_call.h"
#include "worker/tasks/automatic_speech_recognition.h"

namespace verge::worker {
namespace asio = boost::asio;
using protocol::task;

namespace {

constexpr const char* kTask = "automatic-speech-recognition";

// The decoder of a file as the engine's source of samples.
class FileSamples final : public engine::SampleSource {
 public:
  explicit FileSamples(std::unique_ptr<media::AudioDecoder> decoder) : decoder_(std::move(decoder)) {}
  Result<> rewind() override { return decoder_->rewind(); }
  Result<size_t> read(float* to, size_t most) override { return decoder_->read(to, most); }

 private:
  std::unique_ptr<media::AudioDecoder> decoder_;
};
// Silero's probability that the likeliest 32 ms of a clip must reach for it to be transcribed: far below what counts as speech,
// far above noise and tones.
constexpr float kVoiceAtAll = 0.3f;

// Times in the filtered clip -> times in the whole.
void restore_times(const engine::RangeTimes& times, std::vector<engine::SpeechSegment>& segments) {
  for (engine::SpeechSegment& segment : segments) {
    for (engine::WordTime& word : segment.words) {
      const size_t range = times.range_at((word.start + word.end) / 2);
      word.start = times.original(word.start, range);
      word.end = times.original(word.end, range);
    }
    segment.start = segment.words.empty() ? times.original(segment.start, false) : segment.words.front().start;
    segment.end = segment.words.empty() ? times.original(segment.end, true) : segment.words.back().end;
  }
}

static_assert(media::kAudioRate == engine::kSampleRate);

}  // namespace

enum class SpeechService::Stage { Preparing, Queued, Done };

// The io thread hands it to a preparing thread, that to the engine's.
struct SpeechService::Call : PendingCall<Stage> {
  using PendingCall<Stage>::PendingCall;
  SpeechRequest speech;
  std::unique_ptr<FileSamples> source;
  std::unique_ptr<engine::RangedSamples> speech_parts;  // where the filter left something out
  std::vector<engine::SampleRange> ranges;
  double duration = 0;  // of the whole clip, seconds
  std::unique_ptr<engine::Clip> clip;
  std::unique_ptr<engine::Transcription> transcription;
  json::object result;
  int64_t tokens = 0;

  // True once nobody waits for the answer any more.
  bool pointless() const { return abandoned || (request.deadline_ms != 0 && unix_ms() > request.deadline_ms); }

  // On the preparing thread.
  Result<> prepare(engine::Recognizer& recognizer) {
    const auto stop = [this] { return pointless(); };
    VERGE_ASSIGN(parsed, prepare_speech(request));
    speech = std::move(parsed);
    VERGE_ASSIGN(decoder, media::AudioDecoder::open(request.payload, stop));
    source = std::make_unique<FileSamples>(std::move(decoder));
    VERGE_ASSIGN(detector, engine::VoiceDetector::make());
    VERGE_ASSIGN(voice, engine::detect_voice(*source, detector, stop));
    if (voice.samples == 0) return fail(Code::InvalidInput, "the audio has no samples: it is empty, or nothing in it could be decoded");
    duration = static_cast<double>(voice.samples) / engine::kSampleRate;
    // Whisper makes up words for noise: a clip without any voice is not shown to it.
    if (std::ranges::none_of(voice.probabilities, [](float p) { return p >= kVoiceAtAll; })) voice.samples = 0;
    else if (speech.vad_filter) ranges = engine::speech_ranges(voice.probabilities, voice.samples, {});
    if (voice.samples == 0 || speech.vad_filter) speech_parts = std::make_unique<engine::RangedSamples>(*source, ranges);
    engine::SampleSource& heard = speech_parts ? static_cast<engine::SampleSource&>(*speech_parts) : *source;
    VERGE_ASSIGN(opened, engine::Clip::open(heard, recognizer.filters(), stop));
    clip = std::move(opened);
    transcription = std::make_unique<engine::Transcription>(recognizer, *clip, speech.options, stop);
    return transcription->check();
  }

  // On the engine's thread, one window. True when the clip is at its end.
  Result<bool> step() {
    if (pointless()) return fail(Code::Aborted, "the client left");
    if (!transcription->done()) VERGE_TRY(transcription->step());
    if (!transcription->done()) return false;
    Heard heard;
    std::vector<engine::SpeechSegment> segments = transcription->segments();
    if (!ranges.empty()) restore_times(engine::RangeTimes(ranges), segments);
    heard.segments = segments;
    heard.language = transcription->language();
    heard.language_probability = transcription->language_probability();
    heard.duration = duration;
    heard.duration_after_vad = speech.vad_filter ? static_cast<double>(clip->samples()) / engine::kSampleRate : duration;
    result = speech_result(heard);
    tokens = transcription->tokens();
    return true;
  }
};

// The thread that computes: a window of the first clip in line, which then goes to the line's end.
class SpeechService::Engine {
 public:
  explicit Engine(asio::any_io_executor io) : io_(std::move(io)) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "engine");
      loop();
    });
  }
  ~Engine() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      for (const auto& call : line_) call->abandoned = true;
      if (running_) running_->abandoned = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void submit(std::shared_ptr<Call> call) {
    {
      std::lock_guard lock(mutex_);
      line_.push_back(std::move(call));
    }
    wake_.notify_one();
  }
  json::object status() const {
    std::lock_guard lock(mutex_);
    return {{"waiting", line_.size()}, {"running", running_ ? 1 : 0}, {"stepping", running_ != nullptr}, {"steps", windows_},
            {"audio_seconds", audio_seconds_}, {"busy_seconds", busy_seconds_}, {"last_step_ms_ago", last_ms_ == 0 ? -1 : monotonic_ms() - last_ms_}};
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stop_ || !line_.empty(); });
      if (stop_) return;
      running_ = std::move(line_.front());
      line_.pop_front();
      lock.unlock();
      const int64_t start_us = monotonic_us();
      const double before = running_->transcription->seconds_done();
      Result<bool> end = running_->step();
      lock.lock();
      busy_seconds_ += static_cast<double>(monotonic_us() - start_us) / 1e6;
      audio_seconds_ += running_->transcription->seconds_done() - before;
      ++windows_;
      last_ms_ = monotonic_ms();
      if (end && !*end) {
        line_.push_back(std::move(running_));
      } else {
        std::optional<Error> error;
        if (!end) error = end.error();
        asio::post(io_, [call = std::move(running_), error = std::move(error)]() mutable { call->reach(Stage::Done, std::move(error)); });
      }
      running_ = nullptr;
    }
  }

  asio::any_io_executor io_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Call>> line_;
  std::shared_ptr<Call> running_;
  bool stop_ = false;
  uint64_t windows_ = 0;
  double audio_seconds_ = 0, busy_seconds_ = 0;
  int64_t last_ms_ = 0;
  std::thread thread_;  // last: starts when the rest is there
};

SpeechService::SpeechService(asio::any_io_executor io, std::unique_ptr<engine::Backend> backend, std::unique_ptr<engine::Recognizer> recognizer, ServiceOptions options)
    : io_(std::move(io)), options_(std::move(options)), backend_(std::move(backend)), recognizer_(std::move(recognizer)), engine_(std::make_unique<Engine>(io_)) {}

SpeechService::~SpeechService() {
  engine_.reset();
  prepare_.join();
}

task<void> SpeechService::run(protocol::Request request, protocol::EventSink& sink) {
  std::optional<Error> refused;
  if (draining_) refused = fail(Code::Busy, "This worker is shutting down. Try again.");
  else if (*active_ >= limits::kSpeechClips) refused = fail(Code::Busy, "The model's queue is full ({} clips are here). Try again later.", *active_);
  else if (request.reject_if_busy && *active_ > 0) refused = fail(Code::Busy, "The model is busy. Try again later.");
  else if (!request.task.empty() && request.task != kTask) refused = fail(Code::InvalidInput, "This model's task is {}, not {}.", kTask, request.task);
  if (refused) {
    if (refused->code == Code::Busy) refused->retry_after_ms = 1000;
    co_await put_failure(sink, std::move(*refused));
    co_return;
  }
  ++*active_;
  const Finally leave{[active = active_] { --*active; }};

  const auto call = std::make_shared<Call>(io_);
  call->request = std::move(request);
  const Finally abandon{[call] { call->abandoned = true; }};
  asio::post(prepare_, [call, io = io_, recognizer = recognizer_.get()] {
    if (call->abandoned) return;
    std::optional<Error> error;
    if (Result<> prepared = call->prepare(*recognizer); !prepared) error = prepared.error();
    asio::post(io, [call, error = std::move(error)]() mutable { call->reach(Stage::Queued, std::move(error)); });
  });
  if (!co_await call->wait_for(Stage::Queued)) { co_return; }
  if (!call->error) {
    engine_->submit(call);
    if (!co_await call->wait_for(Stage::Done)) { co_return; }
  }
  if (call->error) {
    if (call->error->code == Code::Aborted && !call->abandoned) call->error = fail(Code::Timeout, "the clip was not transcribed in time");
    co_await put_failure(sink, std::move(*call->error));
    co_return;
  }
  protocol::Usage usage;
  usage.completion_tokens = call->tokens;
  usage.audio_ms = std::llround(call->duration * 1000);
  protocol::Accepted accepted(0, 0, options_.node, options_.model, false);
  co_await put_answer(sink, std::move(accepted), std::move(call->result), usage);
}

json::object SpeechService::status() const {
  json::object out{{"task", kTask}, {"active", *active_}, {"draining", draining_}};
  for (auto& [key, value] : engine_->status()) out[key] = value;
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
  VERGE_ASSIGN(file, engine::open_model_file(host.path));
  if (file->architecture != "whisper") return fail(Code::LoadFailed, "{}: architecture '{}' is not supported for speech", host.path, file->architecture);
  engine::LoadOptions load;
  load.precision = host.precision;
  load.progress = host.progress;
  VERGE_ASSIGN(recognizer, engine::Recognizer::open(std::move(file), *backend, load, host.kv_type));
  return std::unique_ptr<ModelService>(std::make_unique<SpeechService>(std::move(io), std::move(backend), std::move(recognizer), std::move(options)));
}

}  // namespace verge::worker
