// Requests a minute, of one account and task. Pure.
//
// A sliding window in slots of a second: in no 60 seconds more than `limit` requests are let through.
#pragma once

#include <array>
#include <cstdint>

namespace verge::accounts {

class RateWindow {
 public:
  // 0: let through, and counted. Else refused: the ms after which the next one may be let through.
  int64_t take(int limit, int64_t now_ms);
  // In the window now.
  int64_t total(int64_t now_ms);
  // Nothing in the window: as good as new.
  bool idle(int64_t now_ms) const { return total_ == 0 || now_ms / 1000 - second_ > kSlots; }

 private:
  // One more than a minute: the current second and the oldest are both in part.
  static constexpr int kSlots = 61;
  void advance(int64_t second);

  std::array<uint32_t, kSlots> slots_{};  // of second s: slots_[s % kSlots]
  int64_t second_ = 0;                    // the newest
  int64_t total_ = 0;
};

}  // namespace verge::accounts
