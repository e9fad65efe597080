// Hibari: phonemes to the spectrum of speech, and letters to phonemes for words that no lexicon has.
//
//   text      embedding; 2 blocks of convolution; a transformer layer that runs several times; norm
//   prosody   durations from one such encoder; six ConvNeXt blocks, dilated, to F0 and energy
//   acoustic  another encoder's rows, repeated by the durations, with F0 and energy: eight ConvNeXt
//             blocks to the spectrum of each frame of 12.5 ms
//
// What follows the networks (pulses, noise, the inverse transform) is speech/vocoder.h's.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/model_file.h"
#include "engine/model.h"
#include "support/error.h"

namespace verge::engine {

inline constexpr int kVoiceBins = 601;   // of a transform over 1200 samples
inline constexpr int kVoiceParts = 5;    // of a frame, see VoiceFrames
inline constexpr int kVoiceHop = 300;    // samples of a frame, at kVoiceRate
inline constexpr int kVoiceRate = 24000;

struct VoiceFrames {
  int frames = 0;
  // {frames, 5, 601}: log magnitude and phase (before tanh) of the pulses' filter, log magnitude of
  // the noise, log magnitude and phase of a free part.
  std::vector<float> spectra;
  std::vector<float> pitch;  // {frames}, Hz; below 40 there is no voice
};

struct HibariInfo {
  int64_t parameters = 0;
  size_t weight_bytes = 0;
  int alphabet = 0;  // ids of phonemes are below
  int letters = 0;   // ids of letters are below
};

class Hibari {
 public:
  virtual ~Hibari() = default;
  virtual const HibariInfo& info() const = 0;
  // ids {n}, 1 <= n <= limits::kPhonemeIds; speed > 0. A frame that the durations ask for past
  // limits::kVoiceFrames is left out.
  virtual void speak(std::span<const int32_t> ids, float speed, VoiceFrames* to) = 0;
  // Letters, 1 <= n <= 24, to ids of phonemes, some slots a letter: 0 is none, repeats are one.
  virtual std::vector<int32_t> spell(std::span<const int32_t> letters) = 0;
};

// A folder that convert_hibari() made. Errors: LoadFailed naming the file and the tensor or key.
Result<std::unique_ptr<Hibari>> load_hibari(std::shared_ptr<ModelFile> file, Backend& backend,
                                            const LoadOptions& options);
// Bytes that load_hibari() would hold, from headers only.
Result<size_t> hibari_bytes(const ModelFile& file, const Backend& backend);

}  // namespace verge::engine
