#include "media/audio_encoder.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/audio_fifo.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
}

#include <algorithm>
#include <vector>

namespace verge::media {
namespace {

struct Free {
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(AVPacket* p) const { av_packet_free(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(SwrContext* p) const { swr_free(&p); }
  void operator()(AVAudioFifo* p) const { av_audio_fifo_free(p); }
  void operator()(AVFormatContext* p) const {
    if (p->pb) {
      av_freep(&p->pb->buffer);
      avio_context_free(&p->pb);
    }
    avformat_free_context(p);
  }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct Kind {
  const char *encoding, *codec, *muxer, *in_wav;
};
constexpr Kind kKinds[] = {
    {"linear16", "pcm_s16le", "s16le", "wav"}, {"mulaw", "pcm_mulaw", "mulaw", "wav"},
    {"alaw", "pcm_alaw", "alaw", "wav"},       {"flac", "flac", "flac", nullptr},
    {"mp3", "libmp3lame", "mp3", nullptr},     {"opus", "libopus", "ogg", nullptr},
    {"aac", "aac", "adts", nullptr},
};
constexpr int kBuffer = 16 << 10;
constexpr int kFrame = 1024;  // samples, of encoders that take any number
constexpr const char* kPageMicroseconds = "200000";  // of Ogg: a client waits no longer for a page

Error broken(std::string_view what, int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return fail(Code::Internal, "the sound could not be encoded: {}: {}", what, text);
}

class FileEncoder final : public AudioEncoder {
 public:
  Result<> open(const SoundFormat& format, int rate) {
    const Kind* kind = std::ranges::find_if(kKinds, [&](const Kind& k) { return format.encoding == k.encoding; });
    if (kind == std::end(kKinds)) return fail(Code::InvalidInput, "there is no encoding '{}'", format.encoding.substr(0, 50));
    const AVCodec* codec = avcodec_find_encoder_by_name(kind->codec);
    const AVOutputFormat* container = av_guess_format(format.wav && kind->in_wav ? kind->in_wav : kind->muxer, nullptr, nullptr);
    if (!codec || !container) return fail(Code::InvalidInput, "this build of FFmpeg has no encoder for {}", format.encoding);
    codec_.reset(avcodec_alloc_context3(codec));
    codec_->sample_fmt = codec->sample_fmts ? codec->sample_fmts[0] : AV_SAMPLE_FMT_S16;
    codec_->sample_rate = format.sample_rate;
    av_channel_layout_default(&codec_->ch_layout, 1);
    codec_->time_base = {1, format.sample_rate};
    codec_->thread_count = 1;
    if (format.bit_rate > 0) codec_->bit_rate = format.bit_rate;
    if (container->flags & AVFMT_GLOBALHEADER) codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (avcodec_open2(codec_.get(), codec, nullptr) < 0) {
      return fail(Code::InvalidInput, "{} cannot be made at {} Hz and {} bits a second", format.encoding, format.sample_rate, format.bit_rate);
    }
    SwrContext* swr = nullptr;
    const int made = swr_alloc_set_opts2(&swr, &codec_->ch_layout, codec_->sample_fmt, codec_->sample_rate, &codec_->ch_layout, AV_SAMPLE_FMT_FLT, rate, 0, nullptr);
    resampler_.reset(swr);
    if (made < 0 || swr_init(swr) < 0) return fail(Code::InvalidInput, "samples of {} Hz cannot be made", format.sample_rate);
    fifo_.reset(av_audio_fifo_alloc(codec_->sample_fmt, 1, kFrame));
    frame_.reset(av_frame_alloc());
    packet_.reset(av_packet_alloc());
    return open_file(container);
  }

  Result<std::string> push(std::span<const float> samples) override {
    const auto* data = reinterpret_cast<const uint8_t*>(samples.data());
    VERGE_TRY(resample(&data, static_cast<int>(samples.size())));
    VERGE_TRY(encode(false));
    return taken();
  }

  Result<std::string> finish() override {
    VERGE_TRY(resample(nullptr, 0));
    VERGE_TRY(encode(true));
    VERGE_TRY(send(nullptr));
    if (const int rc = av_write_trailer(file_.get()); rc < 0) return broken("the end of the file", rc);
    return taken();
  }

 private:
  static int write(void* self, uint8_t* bytes, int count) {
    static_cast<FileEncoder*>(self)->out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
    return count;
  }

  Result<> open_file(const AVOutputFormat* container) {
    AVFormatContext* file = nullptr;
    if (const int rc = avformat_alloc_output_context2(&file, container, nullptr, nullptr); rc < 0) return broken("the file", rc);
    file_.reset(file);
    auto* buffer = static_cast<unsigned char*>(av_malloc(kBuffer));
    file->pb = avio_alloc_context(buffer, kBuffer, 1, this, nullptr, &FileEncoder::write, nullptr);
    file->pb->seekable = 0;
    // The same samples make the same bytes: no name of a program, no random serial number.
    file->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT | AVFMT_FLAG_FLUSH_PACKETS;
    AVStream* stream = avformat_new_stream(file, nullptr);
    if (!stream || avcodec_parameters_from_context(stream->codecpar, codec_.get()) < 0) return broken("the file", AVERROR(ENOMEM));
    stream->time_base = codec_->time_base;
    AVDictionary* options = nullptr;
    av_dict_set(&options, "write_xing", "0", 0);
    av_dict_set(&options, "id3v2_version", "0", 0);
    av_dict_set(&options, "page_duration", kPageMicroseconds, 0);
    const int rc = avformat_write_header(file, &options);
    av_dict_free(&options);
    return rc < 0 ? Result<>(broken("the start of the file", rc)) : Result<>();
  }

  std::string taken() {
    avio_flush(file_->pb);
    return std::exchange(out_, {});
  }

  // null: what the filter still holds.
  Result<> resample(const uint8_t** data, int count) {
    const int room = swr_get_out_samples(resampler_.get(), count);
    if (room < 0) return broken("the rate", room);
    uint8_t* samples = nullptr;
    if (av_samples_alloc(&samples, nullptr, 1, std::max(room, 1), codec_->sample_fmt, 0) < 0) return broken("the rate", AVERROR(ENOMEM));
    const int made = swr_convert(resampler_.get(), &samples, room, data, count);
    void* planes[] = {samples};
    const int kept = made > 0 ? av_audio_fifo_write(fifo_.get(), planes, made) : made;
    av_freep(&samples);
    return kept < 0 ? Result<>(broken("the rate", kept)) : Result<>();
  }

  Result<> encode(bool all) {
    const int whole = codec_->frame_size > 0 ? codec_->frame_size : kFrame;
    for (int left; (left = av_audio_fifo_size(fifo_.get())) > 0 && (left >= whole || all);) {
      AVFrame* frame = frame_.get();
      av_frame_unref(frame);
      frame->nb_samples = std::min(left, whole);
      frame->format = codec_->sample_fmt;
      frame->sample_rate = codec_->sample_rate;
      av_channel_layout_copy(&frame->ch_layout, &codec_->ch_layout);
      if (const int rc = av_frame_get_buffer(frame, 0); rc < 0) return broken("a frame", rc);
      av_audio_fifo_read(fifo_.get(), reinterpret_cast<void**>(frame->data), frame->nb_samples);
      frame->pts = samples_;
      samples_ += frame->nb_samples;
      VERGE_TRY(send(frame));
    }
    return {};
  }

  // null: the encoder's end.
  Result<> send(const AVFrame* frame) {
    if (const int rc = avcodec_send_frame(codec_.get(), frame); rc < 0) return broken("a frame", rc);
    for (;;) {
      const int rc = avcodec_receive_packet(codec_.get(), packet_.get());
      if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF) return {};
      if (rc < 0) return broken("a frame", rc);
      av_packet_rescale_ts(packet_.get(), codec_->time_base, file_->streams[0]->time_base);
      packet_->stream_index = 0;
      const int written = av_write_frame(file_.get(), packet_.get());
      av_packet_unref(packet_.get());
      if (written < 0) return broken("the file", written);
    }
  }

  std::string out_;
  Owned<AVCodecContext> codec_;
  Owned<SwrContext> resampler_;
  Owned<AVAudioFifo> fifo_;
  Owned<AVFrame> frame_;
  Owned<AVPacket> packet_;
  Owned<AVFormatContext> file_;
  int64_t samples_ = 0;
};

}  // namespace

Result<std::unique_ptr<AudioEncoder>> AudioEncoder::open(const SoundFormat& format, int rate) {
  static const bool quiet = (av_log_set_level(AV_LOG_QUIET), true);
  (void)quiet;
  auto encoder = std::make_unique<FileEncoder>();
  VERGE_TRY(encoder->open(format, rate));
  return std::unique_ptr<AudioEncoder>(std::move(encoder));
}

}  // namespace verge::media
