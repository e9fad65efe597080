#include "accounts/quota.h"

#include <algorithm>
#include <cmath>

#include "support/limits.h"

namespace verge::accounts {
namespace {
constexpr double kForgetMs = 5'000;  // how far back "of late" goes
}

void Quota::roll(int64_t now_ms) {
  const int64_t day = day_of(now_ms);
  if (day == day_) return;
  // Also where the clock was set back: the record of that day says what is left of it.
  *this = Quota();
  day_ = day;
}

double Quota::rate(int64_t now_ms) const {
  return recent_ * std::exp(-static_cast<double>(std::max<int64_t>(now_ms - recent_ms_, 0)) / kForgetMs) / kForgetMs;
}

int64_t Quota::lease_size(int64_t limit, int64_t now_ms) const {
  const auto least = std::max<int64_t>(limit / limits::kLeaseLeastParts, 1), most = std::max<int64_t>(limit / limits::kLeaseMostParts, 1);
  return std::clamp(static_cast<int64_t>(rate(now_ms) * limits::kLeaseMs), least, most);
}

bool Quota::wants_ahead(int64_t limit, int64_t now_ms) const {
  return day_ == day_of(now_ms) && used_up_at_ != limit && now_ms >= unreachable_ms_ && granted_ > 0 && free() < lease_size(limit, now_ms) / 2;
}

Quota::Answer Quota::reserve(int64_t estimate, int64_t limit, int64_t cut_off, int64_t now_ms) {
  roll(now_ms);
  Answer answer;
  const auto grant = [&](int64_t amount, bool last) {
    reserved_ += amount;
    if (last) last_under_way_ = true;
    answer.verdict = Verdict::Granted;
    answer.reservation = {day_, amount, last};
    return answer;
  };
  if (estimate <= 0) return grant(0, false);
  if (limit <= 0) return answer;
  const bool reachable = now_ms >= unreachable_ms_;
  if (free() < estimate && used_up_at_ != limit) {
    const int64_t wanted = std::max(lease_size(limit, now_ms), estimate - free());
    if (reachable) {
      answer.verdict = Verdict::NeedsLease;
      answer.wanted = wanted;
      return answer;
    }
    const int64_t own = std::clamp<int64_t>(cut_off - cut_off_used_, 0, wanted);
    granted_ += own;
    cut_off_used_ += own;
    owed_ += own;
  }
  if (free() >= estimate) return grant(estimate, false);
  if (free() > 0 && !last_under_way_) return grant(free(), true);
  // Spent is said only where it is known: with reservations outstanding, or without the record, more may come.
  answer.verdict = used_up_at_ == limit && granted_ <= spent_ ? Verdict::Spent : Verdict::Held;
  return answer;
}

void Quota::settle(const Reservation& reservation, int64_t taken, int64_t now_ms) {
  if (reservation.day != day_) return;  // Q3
  reserved_ -= std::min(reserved_, reservation.amount);  // a clock that went a day ahead and back has forgotten it
  if (reservation.last) last_under_way_ = false;
  spent_ += taken;
  recent_ = rate(now_ms) * kForgetMs + static_cast<double>(taken);
  recent_ms_ = now_ms;
}

void Quota::leased(int64_t day, int64_t amount, int64_t owed_paid, int64_t limit) {
  if (day != day_) return;
  granted_ += amount;
  owed_ -= std::min(owed_, owed_paid);
  unreachable_ms_ = 0;
  if (amount == 0) used_up_at_ = limit;
}

void Quota::unreachable(int64_t day, int64_t now_ms) {
  if (day == day_) unreachable_ms_ = now_ms + limits::kLeaseStoreMs;
}

LeasePlan plan_lease(int64_t leased, int64_t limit, int64_t wanted, int64_t owed) {
  const int64_t take = std::clamp<int64_t>(limit - leased - owed, 0, std::max<int64_t>(wanted, 0));
  return {take, leased + owed + take};
}

}  // namespace verge::accounts
