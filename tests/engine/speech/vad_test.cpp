#include "engine/speech/vad.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/random.h"

namespace verge::engine {
namespace {

TEST(Vad, NoiseAndTonesAreNoVoice) {
  auto detector = VoiceDetector::make();
  ASSERT_TRUE(detector) << detector.error().message;
  Random random(3);
  for (const float amplitude : {0.0f, 1e-4f, 1e-2f, 0.3f}) {
    for (bool tone : {false, true}) {
      std::vector<float> samples(16000 * 3);
      for (size_t i = 0; i < samples.size(); ++i) {
        samples[i] = amplitude * (tone ? std::sin(0.17f * static_cast<float>(i)) : static_cast<float>(random.unit() * 2 - 1));
      }
      MemorySamples source(samples);
      auto voice = detect_voice(source, *detector, {});
      ASSERT_TRUE(voice);
      EXPECT_EQ(voice->samples, 48000);
      EXPECT_EQ(voice->probabilities.size(), 94u);
      for (float p : voice->probabilities) EXPECT_LT(p, 0.3f) << amplitude << tone;
    }
  }
}

TEST(Vad, TheSearchEndsWhereEnoughIsFound) {
  auto detector = VoiceDetector::make();
  ASSERT_TRUE(detector);
  const std::vector<float> samples(16000 * 3, 0.0f);
  MemorySamples source(samples);
  auto all = detect_voice(source, *detector, {});
  ASSERT_TRUE(all);
  const float third = *std::max_element(all->probabilities.begin(), all->probabilities.begin() + 3);
  auto part = detect_voice(source, *detector, {}, third);
  ASSERT_TRUE(part);
  EXPECT_LE(part->probabilities.size(), 3u);
  EXPECT_GE(part->probabilities.back(), third);
}

TEST(Vad, PartsHaveTheirPaddingAndShortPausesJoinThem) {
  // 32 ms each: speech at 2-4 s and, after a pause of 3 s, at 7-8 s, in a clip of 20 s.
  std::vector<float> p(625, 0.01f);
  std::fill(p.begin() + 62, p.begin() + 125, 0.9f);
  std::fill(p.begin() + 80, p.begin() + 100, 0.1f);  // a breath
  std::fill(p.begin() + 219, p.begin() + 250, 0.8f);
  const auto parts = speech_ranges(p, 320000, {});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].begin, 62 * 512 - 6400);
  EXPECT_EQ(parts[0].end, 125 * 512 + 6400);
  EXPECT_EQ(parts[1].begin, 219 * 512 - 6400);
  EXPECT_EQ(parts[1].end, 250 * 512 + 6400);
  EXPECT_TRUE(speech_ranges(std::vector<float>(100, 0.3f), 51200, {}).empty());
  std::fill(p.begin() + 560, p.end(), 0.9f);  // to the end
  EXPECT_EQ(speech_ranges(p, 320000, {}).back().end, 320000);
}

TEST(Vad, TimesGoBackToTheWholeClip) {
  const RangeTimes times({{16000, 32000}, {80000, 96000}});
  EXPECT_DOUBLE_EQ(times.original(0.5, false), 1.5);
  EXPECT_DOUBLE_EQ(times.original(1.0, true), 2.0);    // the end of the first part
  EXPECT_DOUBLE_EQ(times.original(1.0, false), 5.0);   // the start of the second
  EXPECT_DOUBLE_EQ(times.original(1.5, false), 5.5);
  EXPECT_DOUBLE_EQ(times.original(9, false), 13);      // past the end: as the last part
  EXPECT_DOUBLE_EQ(RangeTimes({}).original(3, false), 3);
}

}  // namespace
}  // namespace verge::engine
