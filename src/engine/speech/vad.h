// Voice activity: how likely each 32 ms of a clip holds speech, and which parts of it do. Silero VAD's network and, for the
// parts, the rules of its utils_vad.py with faster-whisper's defaults.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/speech/clip.h"
#include "support/error.h"

namespace verge::engine {

class VoiceDetector {
 public:
  static constexpr int kWindow = 512;  // samples of one probability

  // The weights are part of the program. Fails with Internal where that part is damaged.
  static Result<VoiceDetector> make();
  ~VoiceDetector();
  VoiceDetector(VoiceDetector&&) noexcept;

  // Forgets what it heard.
  void reset();
  // The next kWindow samples.
  float probability(std::span<const float> window);

 private:
  struct Weights;
  VoiceDetector();

  std::shared_ptr<const Weights> weights_;
  std::vector<float> context_, hidden_, cell_;
};

struct VoiceOptions {
  float threshold = 0.5f;
  float end_threshold = 0.35f;        // speech goes on until it falls below
  int min_silence_ms = 2000;          // that ends a part
  int padding_ms = 400;               // kept before and after each
};

// Parts of a clip of `samples` samples, from the probability of each window; ascending, not overlapping.
std::vector<SampleRange> speech_ranges(std::span<const float> probabilities, int64_t samples, const VoiceOptions& options);

struct Voice {
  std::vector<float> probabilities;
  int64_t samples = 0;
};
// Reads all of the source, or as far as a window whose probability is `enough`.
Result<Voice> detect_voice(SampleSource& source, VoiceDetector& detector, const std::function<bool()>& stop, float enough = 2);

// Times in a clip of which only `ranges` were heard -> times in the whole.
class RangeTimes {
 public:
  explicit RangeTimes(std::vector<SampleRange> ranges);
  // `end`: a time at the seam of two parts is the end of the first, not the start of the second.
  size_t range_at(double seconds, bool end = false) const;
  double original(double seconds, size_t range) const;
  double original(double seconds, bool end) const { return original(seconds, range_at(seconds, end)); }

 private:
  std::vector<SampleRange> ranges_;
  std::vector<int64_t> ends_;     // in the shortened clip
  std::vector<int64_t> skipped_;  // samples left out before each
};

}  // namespace verge::engine
