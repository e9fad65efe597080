#include "accounts/rate.h"

#include <algorithm>

namespace verge::accounts {

void RateWindow::advance(int64_t second) {
  // A clock that is set back leaves the window as it is; one that jumps ahead empties it.
  for (int64_t s = std::max(second_ + 1, second - kSlots + 1); s <= second; ++s) {
    auto& slot = slots_[static_cast<size_t>(s % kSlots)];
    total_ -= slot;
    slot = 0;
  }
  second_ = std::max(second_, second);
}

int64_t RateWindow::total(int64_t now_ms) {
  advance(std::max<int64_t>(now_ms, 0) / 1000);
  return total_;
}

int64_t RateWindow::take(int limit, int64_t now_ms) {
  now_ms = std::max<int64_t>(now_ms, 0);
  advance(now_ms / 1000);
  if (total_ < limit) {
    ++slots_[static_cast<size_t>(second_ % kSlots)];
    ++total_;
    return 0;
  }
  // The next is let through when so many of the oldest have left that there is room for one.
  int64_t leaving = 0;
  for (int64_t s = second_ - kSlots + 1; s <= second_; ++s) {
    if (s < 0) continue;
    leaving += slots_[static_cast<size_t>(s % kSlots)];
    if (total_ - leaving < limit) return std::max<int64_t>((s + kSlots) * 1000 - now_ms, 1);
  }
  return int64_t{kSlots} * 1000;  // a limit of 0
}

}  // namespace verge::accounts
