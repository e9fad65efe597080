// Rotary position embedding (Su et al. 2021): angle of pair i at position p is p · frequency[i].
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace verge::engine {

struct RopeConfig {
  int rotary_dim = 0;
  double base = 10000;
  enum class Scaling { None, Linear, Yarn, Long } scaling = Scaling::None;
  double factor = 1;                // context extension: frequencies are divided by it
  double original_context = 0;      // Yarn, Long: context of the training before
  double beta_fast = 32, beta_slow = 1;
  double attention_factor = 1;      // Yarn: multiplies the factor 1 + 0.1 ln(factor) of cos and sin; Long: is that factor
  std::span<const float> divisors;  // {rotary_dim / 2} or empty: Llama 3's, from the file; Long: of short texts
  std::span<const float> long_divisors;  // Long: of texts longer than original_context
};

class Rope {
 public:
  explicit Rope(const RopeConfig& config);
  // Writes {rotary_dim / 2} cosines and sines for a position of a text of `length` tokens. The length matters to
  // LongRoPE alone: a text past the original context has other angles at all its positions.
  void angles(int64_t position, int64_t length, float* cos, float* sin) const;
  const std::vector<float>& frequencies() const { return frequencies_; }
  float magnitude() const { return magnitude_; }
  // Texts longer than this have other angles; 0 = all have the same.
  int64_t switches_at() const { return switch_; }

 private:
  std::vector<float> frequencies_, long_frequencies_;
  int64_t switch_ = 0;
  float magnitude_ = 1;
};

}  // namespace verge::engine
