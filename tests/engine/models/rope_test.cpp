#include "engine/models/parts/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace verge::engine {
namespace {

RopeConfig config(int dim) {
  RopeConfig c;
  c.rotary_dim = dim;
  return c;
}

TEST(Rope, PlainAnglesArePositionTimesFrequency) {
  const Rope rope(config(8));
  float cos[4], sin[4];
  rope.angles(7, 8, cos, sin);
  for (int i = 0; i < 4; ++i) {
    const double angle = 7 * std::pow(10000.0, -2.0 * i / 8);
    EXPECT_NEAR(cos[i], std::cos(angle), 1e-6);
    EXPECT_NEAR(sin[i], std::sin(angle), 1e-6);
  }
}

TEST(Rope, LinearScalingAndDivisorsDivide) {
  RopeConfig c = config(8);
  c.scaling = RopeConfig::Scaling::Linear;
  c.factor = 4;
  const std::vector<float> divisors = {1, 2, 4, 8};
  const Rope plain(config(8)), scaled(c);
  c.scaling = RopeConfig::Scaling::None;
  c.divisors = divisors;
  const Rope divided(c);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(scaled.frequencies()[i], plain.frequencies()[i] / 4);
    EXPECT_FLOAT_EQ(divided.frequencies()[i], plain.frequencies()[i] / divisors[i]);
  }
}

TEST(Rope, YarnKeepsFastPairsAndSlowsSlowOnes) {
  RopeConfig c = config(128);
  c.scaling = RopeConfig::Scaling::Yarn;
  c.factor = 4;
  c.original_context = 4096;
  const Rope plain(config(128)), yarn(c);
  EXPECT_FLOAT_EQ(yarn.frequencies().front(), plain.frequencies().front());
  EXPECT_FLOAT_EQ(yarn.frequencies().back(), plain.frequencies().back() / 4);
  for (size_t i = 1; i < 64; ++i) EXPECT_LT(yarn.frequencies()[i], yarn.frequencies()[i - 1]);
  EXPECT_NEAR(yarn.magnitude(), 1 + 0.1 * std::log(4.0), 1e-6);
}

TEST(Rope, LongTextsHaveDivisorsOfTheirOwnAtEveryPosition) {
  RopeConfig c = config(8);
  c.scaling = RopeConfig::Scaling::Long;
  c.original_context = 32;
  c.attention_factor = 1.25;
  const std::vector<float> near = {1, 1, 1, 2}, far = {1, 4, 8, 16};
  c.divisors = near;
  c.long_divisors = far;
  const Rope rope(c);
  EXPECT_EQ(rope.switches_at(), 32);
  for (int length : {32, 33}) {
    float cos[4], sin[4];
    rope.angles(5, length, cos, sin);
    for (size_t i = 0; i < 4; ++i) {
      const double angle = 5 * std::pow(10000.0, -2.0 * static_cast<double>(i) / 8) / (length > 32 ? far : near)[i];
      EXPECT_NEAR(cos[i], 1.25 * std::cos(angle), 1e-6) << length;
      EXPECT_NEAR(sin[i], 1.25 * std::sin(angle), 1e-6) << length;
    }
  }
}

}  // namespace
}  // namespace verge::engine
