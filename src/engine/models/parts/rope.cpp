#include "engine/models/parts/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace verge::engine {
namespace {

// YaRN (Peng et al. 2023), section 3.2: the pair that turns `rotations` times over the original context.
double pair_of(double rotations, const RopeConfig& c) {
  return c.rotary_dim * std::log(c.original_context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(c.base));
}

// 0 where a pair keeps its frequency (fast pairs), 1 where it is interpolated (slow ones), a ramp between.
double yarn_ramp(int pair, const RopeConfig& c) {
  const double low = std::max(std::floor(pair_of(c.beta_fast, c)), 0.0);
  const double high = std::min(std::ceil(pair_of(c.beta_slow, c)), static_cast<double>(c.rotary_dim - 1));
  return std::clamp((pair - low) / std::max(high - low, 0.001), 0.0, 1.0);
}

}  // namespace

Rope::Rope(const RopeConfig& c) {
  for (int i = 0; i < c.rotary_dim / 2; ++i) {
    const double plain = std::pow(c.base, -2.0 * i / c.rotary_dim);
    double frequency = plain;
    if (!c.divisors.empty()) frequency /= c.divisors[static_cast<size_t>(i)];
    if (c.scaling == RopeConfig::Scaling::Linear) frequency /= c.factor;
    if (c.scaling == RopeConfig::Scaling::Yarn) {
      const double ramp = yarn_ramp(i, c);
      frequency = frequency / c.factor * ramp + frequency * (1 - ramp);
    }
    frequencies_.push_back(static_cast<float>(frequency));
    if (!c.long_divisors.empty()) long_frequencies_.push_back(static_cast<float>(plain / c.long_divisors[static_cast<size_t>(i)]));
  }
  if (c.scaling == RopeConfig::Scaling::Yarn) {
    magnitude_ = static_cast<float>(c.attention_factor * (c.factor > 1 ? 1 + 0.1 * std::log(c.factor) : 1));
  }
  if (c.scaling == RopeConfig::Scaling::Long) {
    magnitude_ = static_cast<float>(c.attention_factor);
    switch_ = static_cast<int64_t>(c.original_context);
  }
}

void Rope::angles(int64_t position, int64_t length, float* cos, float* sin) const {
  const std::vector<float>& frequencies = !long_frequencies_.empty() && length > switch_ ? long_frequencies_ : frequencies_;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    // The angle is rounded to f32 before the cosine, as in transformers and in training.
    const float angle = static_cast<float>(position) * frequencies[i];
    cos[i] = std::cos(angle) * magnitude_;
    sin[i] = std::sin(angle) * magnitude_;
  }
}

}  // namespace verge::engine
