// Sound files of any common container and codec -> 16 kHz mono samples in [-1, 1], a piece at a time.
//
// The bytes are hostile. FFmpeg's libraries read them from memory only: containers that would open other files or
// addresses are not among those it may try, codecs are those of sound alone, nothing runs in threads of its own. Time and memory are
// bounded by limits.h. Runs in the worker's process and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::media {

inline constexpr int kAudioRate = 16000;

struct AudioInfo {
  std::string container, codec;  // FFmpeg's names
  int rate = 0, channels = 0;
};

class AudioDecoder {
 public:
  // `bytes` outlive it. `stop` is asked while packets are read; true ends with Aborted.
  // Errors: InvalidInput where the bytes are no sound that can be read; TooLarge past limits::kClipSeconds.
  static Result<std::unique_ptr<AudioDecoder>> open(std::string_view bytes, std::function<bool()> stop = {});
  virtual ~AudioDecoder() = default;

  // Up to `most` samples; 0 at the end. A clip that breaks off gives what came before.
  virtual Result<size_t> read(float* to, size_t most) = 0;
  // From the start again, with the same samples.
  virtual Result<> rewind() = 0;
  virtual const AudioInfo& info() const = 0;
};

}  // namespace verge::media
