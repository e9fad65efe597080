// A clip of any length as windows of mel frames, in memory that does not grow with it: the first pass over its samples finds the
// largest value, which every frame is scaled by; later ones come as windows ask. Short clips are kept in memory instead
// of being read twice.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/speech/mel.h"
#include "support/error.h"

namespace verge::engine {

// 16 kHz mono samples, from the start, as often as asked.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual Result<> rewind() = 0;
  // Up to `most` samples; 0 at the end.
  virtual Result<size_t> read(float* to, size_t most) = 0;
};

// Samples that lie in memory, which outlives it.
class MemorySamples final : public SampleSource {
 public:
  explicit MemorySamples(std::span<const float> samples) : samples_(samples) {}
  Result<> rewind() override;
  Result<size_t> read(float* to, size_t most) override;

 private:
  std::span<const float> samples_;
  size_t at_ = 0;
};

// [begin, end) of a clip, in samples.
struct SampleRange {
  int64_t begin = 0, end = 0;
};

// The given ranges of another source, one after the other (ascending, not overlapping).
class RangedSamples final : public SampleSource {
 public:
  RangedSamples(SampleSource& source, std::vector<SampleRange> ranges) : source_(source), ranges_(std::move(ranges)) {}
  Result<> rewind() override;
  Result<size_t> read(float* to, size_t most) override;

 private:
  SampleSource& source_;
  const std::vector<SampleRange> ranges_;
  size_t range_ = 0;
  int64_t at_ = 0;  // in source_
  std::vector<float> skipped_;
};

class Clip {
 public:
  // Reads all of `source` once. `stop` is asked between pieces; true ends with Aborted.
  // Of the largest log10 mel value. The least bit of a 16-bit file flickering gives about -8.5, whispering into a bad microphone -4.
  static constexpr float kInaudible = -7.5f;

  static Result<std::unique_ptr<Clip>> open(SampleSource& source, std::span<const float> filters, const std::function<bool()>& stop);

  int64_t samples() const { return samples_; }
  // With content: none where the whole clip is below what anybody could hear (a dead microphone, digital silence).
  int64_t frames() const { return largest_ < kInaudible ? 0 : samples_ / kHop; }
  // {count, mels} normalised frames from `first` on, which never goes back; frames past the end are zero.
  Result<> window(int64_t first, int64_t count, float* to);

 private:
  Clip(SampleSource& source, std::span<const float> filters);
  Result<bool> feed();  // false at the end
  void restart();

  SampleSource* source_;
  const std::span<const float> filters_;
  const size_t mels_;
  std::vector<float> kept_;  // all samples of a short clip
  std::unique_ptr<MemorySamples> memory_;
  int64_t samples_ = 0;
  float largest_ = -10;
  std::unique_ptr<MelStream> stream_;
  std::deque<std::vector<float>> rows_;
  int64_t first_row_ = 0, next_row_ = 0, skip_to_ = 0;
  bool ended_ = false;
};

}  // namespace verge::engine
