#include "worker/speech_call.h"

#include <algorithm>

#include "engine/speech/vad.h"
#include "media/audio.h"
#include "support/clock.h"

namespace verge::worker {
namespace {

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

bool SpeechCall::pointless() const { return abandoned || (request.deadline_ms != 0 && unix_ms() > request.deadline_ms); }

Result<> SpeechCall::prepare(engine::Recognizer& recognizer) {
  const auto stop = [this] { return pointless(); };
  VERGE_ASSIGN(parsed, protocol::speech_parameters(request.params));
  speech = std::move(parsed);
  const bool filtered = speech.vad_filter.value_or(false);
  VERGE_ASSIGN(decoder, media::AudioDecoder::open(request.payload, stop));
  source_ = std::make_unique<FileSamples>(std::move(decoder));
  VERGE_ASSIGN(detector, engine::VoiceDetector::make());
  // Where nothing is to be left out, the first voice is all that has to be known.
  VERGE_ASSIGN(voice, engine::detect_voice(*source_, detector, stop, filtered ? 2 : kVoiceAtAll));
  if (voice.samples == 0) return fail(Code::InvalidInput, "the audio has no samples: it is empty, or nothing in it could be decoded");
  duration = static_cast<double>(voice.samples) / engine::kSampleRate;
  // Whisper makes up words for noise: a clip without any voice is not shown to it.
  if (std::ranges::none_of(voice.probabilities, [](float p) { return p >= kVoiceAtAll; })) voice.samples = 0;
  else if (filtered) ranges_ = engine::speech_ranges(voice.probabilities, voice.samples, {});
  if (voice.samples == 0 || filtered) speech_parts_ = std::make_unique<engine::RangedSamples>(*source_, ranges_);
  engine::SampleSource& heard = speech_parts_ ? static_cast<engine::SampleSource&>(*speech_parts_) : *source_;
  VERGE_ASSIGN(opened, engine::Clip::open(heard, recognizer.filters(), stop));
  clip_ = std::move(opened);
  if (!speech_parts_) duration = static_cast<double>(clip_->samples()) / engine::kSampleRate;  // the search for a voice has seen a part of it
  transcription = std::make_unique<engine::Transcription>(recognizer, *clip_, speech_options(speech));
  return transcription->check();
}

std::vector<engine::SpeechSegment> SpeechCall::heard(size_t from) const {
  const auto& all = transcription->segments();
  std::vector<engine::SpeechSegment> segments(all.begin() + static_cast<std::ptrdiff_t>(from), all.end());
  if (!ranges_.empty()) restore_times(engine::RangeTimes(ranges_), segments);
  return segments;
}

protocol::TranscriptPart SpeechCall::take_part() {
  const auto segments = heard(parted_);
  const bool first = parted_ == 0;
  parted_ += segments.size();
  const double done = transcription->seconds_done(), whole = static_cast<double>(clip_->samples()) / engine::kSampleRate;
  return speech_part(segments, first, transcription->language(), whole > 0 ? std::min(1.0, done / whole) * duration : duration, duration);
}

protocol::Transcript SpeechCall::whole() {
  const auto segments = heard(0);
  Heard heard;
  heard.segments = segments;
  heard.language = transcription->language();
  heard.language_probability = transcription->language_probability();
  heard.duration = duration;
  heard.duration_after_vad = speech.vad_filter.value_or(false) ? static_cast<double>(clip_->samples()) / engine::kSampleRate : duration;
  return speech_result(heard);
}

}  // namespace verge::worker
