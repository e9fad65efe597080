// Whisper's log-mel front end: 16 kHz samples in, one row of bands for every 10 ms out.
//
// As openai/whisper's audio.py and transformers' WhisperFeatureExtractor: periodic Hann window of 25 ms, hop of 10 ms, frames
// centred with reflection at both ends of the clip, the last frame dropped; power spectrum, mel filters, log10 of at least
// 1e-10. The last step, which needs the largest value of the whole clip, is normalise().
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/speech/fft.h"

namespace verge::engine {

inline constexpr int kSampleRate = 16000;
inline constexpr int kFftSize = 400;
inline constexpr int kHop = 160;
inline constexpr int kFramesPerSecond = kSampleRate / kHop;
inline constexpr int kBins = kFftSize / 2 + 1;

// Triangles on Slaney's mel scale from 0 to 8000 Hz, each of area one (librosa.filters.mel), {mels, kBins}.
std::vector<float> mel_filters(int mels);

// Power spectrum of one windowed frame by a real FFT of 400 points.
class Spectrum {
 public:
  Spectrum();
  // `frame` {kFftSize} samples before the window; `power` {kBins}.
  void power(const float* frame, float* power) const;

 private:
  std::vector<float> window_;
  Fft fft_;                                 // of half the size
  std::vector<float> real_cos_, real_sin_;  // of the step from complex to real
};

// Feeds on pieces of a clip; frames come out as soon as their samples are there. One object a pass over a clip.
class MelStream {
 public:
  // `filters` {mels, kBins} as mel_filters() makes them. emit(row) gets each frame's log10 values, {mels}.
  MelStream(std::span<const float> filters, std::function<void(const float*)> emit);
  void push(std::span<const float> samples);
  // The end of the clip: the frames that are left. Clips of less than 201 samples are filled with zeros.
  void finish();
  int64_t frames() const { return frames_; }

 private:
  void frame(const float* samples);

  const Spectrum spectrum_;
  const std::span<const float> filters_;
  const int mels_;
  struct Range { int begin, end; };
  std::vector<Range> ranges_;  // bins where a filter is not zero
  const std::function<void(const float*)> emit_;
  std::vector<float> pending_;  // the clip from `first_` on, the reflected start included
  bool started_ = false;
  int64_t frames_ = 0;
  int64_t samples_ = 0;
  std::vector<float> row_;
};

// In place: values below `largest` - 8 are raised to it, then (x + 4) / 4.
void normalise_mel(std::span<float> values, float largest);

}  // namespace verge::engine
