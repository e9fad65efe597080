#include "engine/speech/clip.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/limits.h"
#include "support/random.h"

namespace verge::engine {
namespace {

constexpr int kBands = 80;

std::vector<float> tone(size_t count) {
  std::vector<float> samples(count);
  for (size_t i = 0; i < count; ++i) samples[i] = static_cast<float>(0.3 * std::sin(0.05 * static_cast<double>(i)) * std::sin(0.00003 * static_cast<double>(i)));
  return samples;
}

// A source that makes its samples, to be longer than what is kept.
class Endless final : public SampleSource {
 public:
  explicit Endless(int64_t count) : count_(count) {}
  Result<> rewind() override { return at_ = 0, ++passes, Result<>(); }
  Result<size_t> read(float* to, size_t most) override {
    const auto part = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(most), count_ - at_));
    for (size_t i = 0; i < part; ++i, ++at_) to[i] = static_cast<float>(0.3 * std::sin(0.05 * static_cast<double>(at_)));
    return part;
  }
  int passes = 0;

 private:
  int64_t count_, at_ = 0;
};

TEST(Clip, WindowsAreThoseOfTheWholeWhereverTheyBegin) {
  const auto samples = tone(16000 * 50 + 77);
  MemorySamples source(samples);
  const auto filters = mel_filters(kBands);
  auto whole = Clip::open(source, filters, {}), parts = Clip::open(source, filters, {});
  ASSERT_TRUE(whole);
  ASSERT_TRUE(parts);
  EXPECT_EQ((*whole)->frames(), 5000);
  std::vector<float> all(6000 * kBands), window(3000 * kBands);
  ASSERT_TRUE((*whole)->window(0, 6000, all.data()));
  for (int64_t first : {0, 37, 2000, 2100, 4900}) {
    ASSERT_TRUE((*parts)->window(first, 3000, window.data()));
    const auto count = static_cast<size_t>(std::min<int64_t>(3000, 6000 - first)) * kBands;
    EXPECT_TRUE(std::equal(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(count), all.begin() + first * kBands)) << first;
  }
  EXPECT_EQ(all[5000 * kBands], 0);  // past the end
  EXPECT_NE(all[4999 * kBands], 0);
}

TEST(Clip, SilenceHasNoFrames) {
  std::vector<float> nothing(16000 * 3);
  std::vector<float> faint(16000 * 3);  // the least bit of 16 flickers
  Random random(1);
  for (float& x : faint) x = static_cast<float>(static_cast<int>(random.below(3)) - 1) / 32768;
  const auto filters = mel_filters(kBands);
  for (const auto* samples : {&nothing, &faint}) {
    MemorySamples source(*samples);
    auto clip = Clip::open(source, filters, {});
    ASSERT_TRUE(clip);
    EXPECT_EQ((*clip)->samples(), 48000);
    EXPECT_EQ((*clip)->frames(), 0);
  }
}

TEST(Clip, ALongClipIsReadAgainInsteadOfKept) {
  Endless source(limits::kClipSamplesKept + 16000 * 5);
  const auto filters = mel_filters(kBands);
  auto clip = Clip::open(source, filters, {});
  ASSERT_TRUE(clip);
  EXPECT_EQ(source.passes, 2);
  std::vector<float> window(3000 * kBands);
  ASSERT_TRUE((*clip)->window((*clip)->frames() - 100, 3000, window.data()));
  EXPECT_NE(window[99 * kBands + 5], 0);
  EXPECT_EQ(window[100 * kBands + 5], 0);
}

TEST(Clip, RangesAreReadOneAfterTheOther) {
  std::vector<float> samples(100000);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<float>(i);
  MemorySamples source(samples);
  RangedSamples ranged(source, {{10, 20}, {50000, 50003}, {99999, 100000}});
  for (int pass = 0; pass < 2; ++pass) {
    ASSERT_TRUE(ranged.rewind());
    std::vector<float> got;
    float piece[7];
    for (;;) {
      auto count = ranged.read(piece, 7);
      ASSERT_TRUE(count);
      if (*count == 0) break;
      got.insert(got.end(), piece, piece + *count);
    }
    EXPECT_EQ(got, (std::vector<float>{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 50000, 50001, 50002, 99999}));
  }
}

TEST(Clip, StopsWhenAsked) {
  Endless source(16000 * 100);
  const auto filters = mel_filters(kBands);
  auto clip = Clip::open(source, filters, [] { return true; });
  ASSERT_FALSE(clip);
  EXPECT_EQ(clip.error().code, Code::Aborted);
}

}  // namespace
}  // namespace verge::engine
