// Rotary position embedding (Su et al. 2021): angle of pair i at position p is p · frequency[i].
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace verge::engine {

struct RopeConfig {
  int rotary_dim = 0;
  double base = 10000;
  enum class Scaling { None, Linear, Yarn } scaling = Scaling::None;
  double factor = 1;                // context extension: frequencies are divided by it
  double original_context = 0;      // Yarn: context of the training before
  double beta_fast = 32, beta_slow = 1;
  double attention_factor = 1;      // Yarn: multiplies the factor 1 + 0.1 ln(factor) of cos and sin
  std::span<const float> divisors;  // {rotary_dim / 2} or empty: Llama 3's, from the file
};

class Rope {
 public:
  explicit Rope(const RopeConfig& config);
  // Writes {rotary_dim / 2} cosines and sines for a position.
  void angles(int64_t position, float* cos, float* sin) const;
  const std::vector<float>& frequencies() const { return frequencies_; }
  float magnitude() const { return magnitude_; }

 private:
  std::vector<float> frequencies_;
  float magnitude_ = 1;
};

}  // namespace verge::engine
