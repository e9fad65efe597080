// How fast a model answers here, measured from the requests that pass. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace verge::node {

class Pace {
 public:
  // A request was accepted `waited_ms` after it came to a model that had nothing else to do.
  // uncached: tokens of its prompt that had to be read, at tokens_per_s (0 = not known).
  void accepted_alone(int64_t waited_ms, int64_t uncached, double tokens_per_s) {
    const double reading_ms = tokens_per_s > 0 ? static_cast<double>(uncached) / tokens_per_s * 1000 : 0;
    first_tokens_[seen_++ % first_tokens_.size()] = static_cast<float>(std::max(0.0, static_cast<double>(waited_ms) - reading_ms));
  }
  // A request had its slot for so long.
  void held(int64_t slot_ms) {
    const auto value = static_cast<double>(slot_ms);
    slot_ms_ = slot_ms_ < 0 ? value : slot_ms_ + kNewest * (value - slot_ms_);
  }

  // A slow answer is a busy machine more often than a slow model: of the newest few the least
  // counts. -1 = nothing measured.
  int first_token_ms() const {
    const size_t known = std::min(seen_, first_tokens_.size());
    return known == 0 ? -1 : static_cast<int>(*std::min_element(first_tokens_.begin(), first_tokens_.begin() + static_cast<long>(known)));
  }
  int slot_ms() const { return slot_ms_ < 0 ? 0 : static_cast<int>(slot_ms_); }  // mean of late; 0 = nothing measured

 private:
  static constexpr double kNewest = 0.2;  // its weight: about the last ten count

  std::array<float, 8> first_tokens_{};
  size_t seen_ = 0;
  double slot_ms_ = -1;
};

}  // namespace verge::node
