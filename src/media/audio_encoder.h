// Samples to a sound file, a piece at a time, by FFmpeg's encoders and muxers. Nothing is written but
// to memory, nothing is sought in what went out: a file can be played while it is made.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "support/error.h"

namespace verge::media {

struct SoundFormat {
  std::string encoding;  // "linear16", "flac", "mulaw", "alaw", "mp3", "opus" (in Ogg), "aac" (ADTS)
  bool wav = false;      // of linear16, mulaw and alaw: in a WAV file; else samples alone
  int sample_rate = 0;   // Hz
  int bit_rate = 0;      // bits a second; 0 = the encoder's own
};

class AudioEncoder {
 public:
  // Mono samples of `rate` Hz in. Errors: InvalidInput where the encoder does not take the format.
  static Result<std::unique_ptr<AudioEncoder>> open(const SoundFormat& format, int rate);
  virtual ~AudioEncoder() = default;
  // What the file has grown by. Errors: Internal.
  virtual Result<std::string> push(std::span<const float> samples) = 0;
  virtual Result<std::string> finish() = 0;  // its end
};

}  // namespace verge::media
