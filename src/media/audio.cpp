// A chain of demuxer, decoder and resampler, each pulled by the next: read() takes resampled samples, and asks for the next
// frame when there are none. Going back to the start builds the chain anew, so that a second pass has the same bits.
#include "media/audio.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
}

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <vector>

#include "support/clock.h"
#include "support/limits.h"

namespace verge::media {
namespace {

// What browsers, phones and recorders write. No playlist, no format that names other files.
constexpr const char* kContainers =
    "wav,w64,aiff,au,caf,flac,mp3,ogg,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,aac,amr,amrnb,amrwb,asf,avi,mpegts,mpeg,ac3,eac3,wv,tta,ape,voc,gsm,loas,flv";
constexpr const char* kCodecs =
    "mp1,mp1float,mp2,mp2float,mp3,mp3float,aac,aac_fixed,aac_latm,alac,flac,vorbis,opus,speex,amrnb,amrwb,gsm,gsm_ms,ac3,eac3,wavpack,tta,ape,"
    "wmav1,wmav2,wmapro,wmavoice,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_g722,adpcm_g726,adpcm_yamaha,pcm_alaw,pcm_mulaw,pcm_f16le,pcm_f24le,"
    "pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_s16be,pcm_s16le,pcm_s16be_planar,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,"
    "pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_s8,pcm_s8_planar,pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,pcm_u32le,pcm_u8";

struct Free {
  void operator()(AVFormatContext* p) const { avformat_close_input(&p); }
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(AVPacket* p) const { av_packet_free(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(SwrContext* p) const { swr_free(&p); }
  void operator()(AVIOContext* p) const {
    av_freep(&p->buffer);
    avio_context_free(&p);
  }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string reason(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

Error unreadable(std::string_view why) {
  return fail(Code::InvalidInput, "the audio could not be decoded: {}. Send a WAV, FLAC, MP3, Ogg, WebM or M4A file with at least one audio stream", why);
}

Error too_long() {
  Error error = fail(Code::TooLarge, "the audio is longer than {} s, the limit of one request: send it in parts", limits::kClipSeconds);
  error.limit = limits::kClipSeconds;
  return error;
}

// Whether its header says that the clip is too long, so that nothing of it need be decoded. Not where the length is guessed from
// the bit rate, nor where the bytes are too few for it: who writes to a pipe leaves the largest length that there is.
bool too_long_by_header(const AVFormatContext& format, int stream, size_t bytes) {
  constexpr int64_t kMost = int64_t{limits::kClipSeconds} + 1;
  if (format.duration == AV_NOPTS_VALUE || format.duration <= kMost * AV_TIME_BASE || format.duration_estimation_method == AVFMT_DURATION_FROM_BITRATE) return false;
  const int64_t bit_rate = format.streams[stream]->codecpar->bit_rate;
  return bit_rate <= 0 || static_cast<int64_t>(bytes) * 8 / bit_rate > kMost / 2;
}

// FFmpeg's settings are those of the process.
void set_up_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    av_log_set_level(AV_LOG_QUIET);
    av_max_alloc(limits::kAudioAllocationBytes);
  });
}

// The bytes as a file that can be sought in.
struct Memory {
  std::string_view bytes;
  size_t at = 0;

  static int read(void* opaque, uint8_t* to, int most) {
    auto* self = static_cast<Memory*>(opaque);
    const size_t count = std::min(static_cast<size_t>(std::max(most, 0)), self->bytes.size() - self->at);
    if (count == 0) return AVERROR_EOF;
    std::memcpy(to, self->bytes.data() + self->at, count);
    self->at += count;
    return static_cast<int>(count);
  }
  static int64_t seek(void* opaque, int64_t offset, int whence) {
    auto* self = static_cast<Memory*>(opaque);
    const auto size = static_cast<int64_t>(self->bytes.size());
    if (whence & AVSEEK_SIZE) return size;
    whence &= ~AVSEEK_FORCE;
    const int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? static_cast<int64_t>(self->at) : size;
    if (offset < -base || offset > size - base) return AVERROR(EINVAL);
    self->at = static_cast<size_t>(base + offset);
    return base + offset;
  }
};

// One pass over the bytes.
class Chain {
 public:
  Chain(std::string_view bytes, const std::function<bool()>& stop) : memory_{bytes}, stop_(stop), deadline_ms_(monotonic_ms() + limits::kAudioPassMs) {}

  Result<> open();
  // False at the end; else `samples` holds one or more.
  Result<bool> next(std::vector<float>* samples);
  const AudioInfo& info() const { return info_; }

 private:
  static int interrupted(void* opaque) {
    auto* self = static_cast<Chain*>(opaque);
    return (self->stop_ && self->stop_()) || monotonic_ms() > self->deadline_ms_;
  }
  Result<> check_time();
  Result<> open_decoder(int stream, const AVCodec* codec);
  Result<> set_resampler(const AVFrame& frame);
  Result<bool> next_frame();
  void drain(std::vector<float>* samples);

  Memory memory_;
  const std::function<bool()>& stop_;
  const int64_t deadline_ms_;
  Owned<AVIOContext> io_;  // outlives format_
  Owned<AVFormatContext> format_;
  Owned<AVCodecContext> decoder_;
  Owned<AVPacket> packet_;
  Owned<AVFrame> frame_;
  Owned<SwrContext> resampler_;
  AVChannelLayout layout_{};   // that the resampler was made for, and …
  int rate_ = 0, format_in_ = AV_SAMPLE_FMT_NONE;
  int stream_ = -1;
  bool flushing_ = false, ended_ = false;
  int64_t samples_ = 0;
  AudioInfo info_;

 public:
  ~Chain() { av_channel_layout_uninit(&layout_); }
};

Result<> Chain::check_time() {
  if (stop_ && stop_()) return fail(Code::Aborted, "the client left");
  if (monotonic_ms() > deadline_ms_) return fail(Code::InvalidInput, "the audio took longer than {} s to decode", limits::kAudioPassMs / 1000);
  return {};
}

Result<> Chain::open() {
  set_up_once();
  constexpr size_t kBuffer = 32 << 10;
  auto* buffer = static_cast<uint8_t*>(av_malloc(kBuffer));
  if (!buffer) return fail(Code::Internal, "no memory to decode audio");
  io_.reset(avio_alloc_context(buffer, kBuffer, 0, &memory_, &Memory::read, nullptr, &Memory::seek));
  AVFormatContext* format = avformat_alloc_context();
  if (!io_ || !format) return fail(Code::Internal, "no memory to decode audio");
  format->pb = io_.get();
  format->flags |= AVFMT_FLAG_CUSTOM_IO;
  format->interrupt_callback = {&Chain::interrupted, this};
  format->max_streams = limits::kAudioStreams;
  format->probesize = limits::kAudioProbeBytes;
  av_opt_set(format, "format_whitelist", kContainers, 0);
  av_opt_set(format, "codec_whitelist", kCodecs, 0);
  av_opt_set(format, "protocol_whitelist", "none", 0);
  const int opened = avformat_open_input(&format, "", nullptr, nullptr);  // frees `format` where it fails
  format_.reset(opened < 0 ? nullptr : format);
  VERGE_TRY(check_time());
  if (opened < 0) return unreadable(reason(opened));
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    if (format_->streams[i]->codecpar->codec_type != AVMEDIA_TYPE_AUDIO) format_->streams[i]->discard = AVDISCARD_ALL;
  }
  const int found = avformat_find_stream_info(format_.get(), nullptr);
  VERGE_TRY(check_time());
  if (found < 0) return unreadable(reason(found));
  const AVCodec* codec = nullptr;
  stream_ = av_find_best_stream(format_.get(), AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
  if (stream_ == AVERROR_STREAM_NOT_FOUND) return unreadable("there is no audio stream in it");
  if (stream_ < 0 || !codec) return unreadable("no decoder for its audio stream");
  if (too_long_by_header(*format_, stream_, memory_.bytes.size())) return too_long();
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    if (static_cast<int>(i) != stream_) format_->streams[i]->discard = AVDISCARD_ALL;
  }
  return open_decoder(stream_, codec);
}

Result<> Chain::open_decoder(int stream, const AVCodec* codec) {
  decoder_.reset(avcodec_alloc_context3(codec));
  packet_.reset(av_packet_alloc());
  frame_.reset(av_frame_alloc());
  if (!decoder_ || !packet_ || !frame_) return fail(Code::Internal, "no memory to decode audio");
  int rc = avcodec_parameters_to_context(decoder_.get(), format_->streams[stream]->codecpar);
  decoder_->thread_count = 1;
  decoder_->pkt_timebase = format_->streams[stream]->time_base;
  av_opt_set(decoder_.get(), "codec_whitelist", kCodecs, 0);
  if (rc >= 0) rc = avcodec_open2(decoder_.get(), codec, nullptr);
  if (rc < 0) return unreadable(reason(rc));
  info_ = {format_->iformat->name, codec->name, decoder_->sample_rate, decoder_->ch_layout.nb_channels};
  return {};
}

// Streams may change their rate or channels on the way.
Result<> Chain::set_resampler(const AVFrame& frame) {
  if (resampler_ && frame.sample_rate == rate_ && frame.format == format_in_ && av_channel_layout_compare(&frame.ch_layout, &layout_) == 0) return {};
  const int channels = frame.ch_layout.nb_channels;
  if (frame.sample_rate < 1 || frame.sample_rate > limits::kAudioRate || channels < 1 || channels > limits::kAudioChannels) {
    return unreadable(fmt::format("{} channels at {} Hz", channels, frame.sample_rate));
  }
  av_channel_layout_uninit(&layout_);
  if (av_channel_layout_copy(&layout_, &frame.ch_layout) < 0) return fail(Code::Internal, "no memory to decode audio");
  rate_ = frame.sample_rate;
  format_in_ = frame.format;
  AVChannelLayout in{}, mono = AV_CHANNEL_LAYOUT_MONO;
  if (layout_.order == AV_CHANNEL_ORDER_UNSPEC) av_channel_layout_default(&in, channels);
  else av_channel_layout_copy(&in, &layout_);
  // Channels without a place in a room are mixed in equal parts.
  const bool plain = in.order != AV_CHANNEL_ORDER_NATIVE;
  SwrContext* swr = nullptr;
  int rc = swr_alloc_set_opts2(&swr, &mono, AV_SAMPLE_FMT_FLT, kAudioRate, &in, static_cast<AVSampleFormat>(frame.format), rate_, 0, nullptr);
  resampler_.reset(swr);
  av_channel_layout_uninit(&in);
  if (rc >= 0) av_opt_set_double(swr, "rematrix_maxval", 1, 0);  // the mix never clips, as with integer samples
  if (rc >= 0 && plain) {
    const std::vector<double> equal(static_cast<size_t>(channels), 1.0 / channels);
    rc = swr_set_matrix(swr, equal.data(), channels);
  }
  if (rc >= 0) rc = swr_init(swr);
  if (rc < 0) return unreadable(fmt::format("{} channels at {} Hz: {}", channels, rate_, reason(rc)));
  return {};
}

// True: frame_ holds the next one.
Result<bool> Chain::next_frame() {
  for (;;) {
    const int rc = avcodec_receive_frame(decoder_.get(), frame_.get());
    if (rc == 0) return true;
    if (rc == AVERROR_EOF || (flushing_ && rc != AVERROR(EAGAIN))) return false;
    VERGE_TRY(check_time());
    if (flushing_) return false;
    // Damaged packets are left out: a player would go on, too.
    const int read = av_read_frame(format_.get(), packet_.get());
    if (read < 0) {
      flushing_ = true;
      avcodec_send_packet(decoder_.get(), nullptr);
      continue;
    }
    if (packet_->stream_index == stream_) avcodec_send_packet(decoder_.get(), packet_.get());
    av_packet_unref(packet_.get());
  }
}

// What the resampler holds back.
void Chain::drain(std::vector<float>* samples) {
  ended_ = true;
  if (!resampler_) return;
  const int most = swr_get_out_samples(resampler_.get(), 0);
  if (most <= 0) return;
  samples->resize(static_cast<size_t>(most));
  auto* out = reinterpret_cast<uint8_t*>(samples->data());
  const int count = swr_convert(resampler_.get(), &out, most, nullptr, 0);
  samples->resize(static_cast<size_t>(std::max(count, 0)));
}

Result<bool> Chain::next(std::vector<float>* samples) {
  samples->clear();
  while (!ended_ && samples->empty()) {
    VERGE_ASSIGN(there, next_frame());
    if (!there) {
      drain(samples);
      break;
    }
    VERGE_TRY(set_resampler(*frame_));
    const int most = swr_get_out_samples(resampler_.get(), frame_->nb_samples);
    if (most > 0 && static_cast<size_t>(most) <= limits::kAudioAllocationBytes / sizeof(float)) {
      samples->resize(static_cast<size_t>(most));
      auto* out = reinterpret_cast<uint8_t*>(samples->data());
      const int count = swr_convert(resampler_.get(), &out, most, const_cast<const uint8_t**>(frame_->extended_data), frame_->nb_samples);
      samples->resize(static_cast<size_t>(std::max(count, 0)));
    }
    av_frame_unref(frame_.get());
  }
  for (float& x : *samples) x = std::isfinite(x) ? std::clamp(x, -1.0f, 1.0f) : 0;
  samples_ += static_cast<int64_t>(samples->size());
  if (samples_ > int64_t{limits::kClipSeconds} * kAudioRate) return too_long();
  return !samples->empty();
}

class Decoder final : public AudioDecoder {
 public:
  Decoder(std::string_view bytes, std::function<bool()> stop) : bytes_(bytes), stop_(std::move(stop)) {}

  Result<> rewind() override {
    ready_.clear();
    at_ = 0;
    chain_ = std::make_unique<Chain>(bytes_, stop_);
    return chain_->open();
  }
  Result<size_t> read(float* to, size_t most) override {
    size_t count = 0;
    while (count < most) {
      if (at_ == ready_.size()) {
        at_ = 0;
        VERGE_ASSIGN(more, chain_->next(&ready_));
        if (!more) break;
      }
      const size_t part = std::min(most - count, ready_.size() - at_);
      std::copy_n(ready_.begin() + static_cast<std::ptrdiff_t>(at_), part, to + count);
      count += part;
      at_ += part;
    }
    return count;
  }
  const AudioInfo& info() const override { return chain_->info(); }

 private:
  const std::string_view bytes_;
  const std::function<bool()> stop_;
  std::unique_ptr<Chain> chain_;
  std::vector<float> ready_;
  size_t at_ = 0;
};

}  // namespace

Result<std::unique_ptr<AudioDecoder>> AudioDecoder::open(std::string_view bytes, std::function<bool()> stop) {
  if (bytes.empty()) return fail(Code::InvalidInput, "the audio is empty");
  auto decoder = std::make_unique<Decoder>(bytes, std::move(stop));
  VERGE_TRY(decoder->rewind());
  return std::unique_ptr<AudioDecoder>(std::move(decoder));
}

}  // namespace verge::media
