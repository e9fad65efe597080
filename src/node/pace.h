// How fast a model answers here, measured from the requests that pass. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace verge::node {

class Pace {
 public:
  // A request was accepted `waited_ms` after it came to a model that had nothing else to do.
  // uncached: tokens of its prompt that had to be read, at tokens_per_s (0 = not known).
  void accepted_alone(int64_t waited_ms, int64_t uncached, double tokens_per_s) {
    const double reading_ms = tokens_per_s > 0 ? static_cast<double>(uncached) / tokens_per_s * 1000 : 0;
    take(first_token_ms_, std::max(0.0, static_cast<double>(waited_ms) - reading_ms));
  }
  // A request had its slot for so long.
  void held(int64_t slot_ms) { take(slot_ms_, static_cast<double>(slot_ms)); }

  int first_token_ms() const { return first_token_ms_ < 0 ? kUnmeasuredMs : static_cast<int>(first_token_ms_); }
  int slot_ms() const { return slot_ms_ < 0 ? 0 : static_cast<int>(slot_ms_); }

 private:
  static constexpr int kUnmeasuredMs = 200;
  static constexpr double kNewest = 0.2;  // its weight: about the last ten count

  static void take(double& mean, double value) { mean = mean < 0 ? value : mean + kNewest * (value - mean); }

  double first_token_ms_ = -1, slot_ms_ = -1;  // -1 = nothing measured
};

}  // namespace verge::node
