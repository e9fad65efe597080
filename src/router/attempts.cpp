#include "router/attempts.h"

#include <algorithm>

#include "support/limits.h"
#include "support/random.h"

namespace verge::router {

bool RetryBudget::take(Instant now) {
  // Where few requests come, the share of them is less than one retry: time gives some.
  constexpr Instant kGap = 1000 / limits::kRetryPerSecond;
  if (now - credited_at_ >= kGap) {
    if (credit_ < 100) credit_ = 100;
    credited_at_ = now;
  }
  if (credit_ < 100 || retries_ >= std::max(limits::kRetryFloor, requests_ * limits::kRetryPercent / 100)) return false;
  credit_ -= 100;
  ++retries_;
  return true;
}

Decision Attempts::failed(const Failed& what, bool others, RetryBudget& budget, Instant now) {
  const Code code = what.error.code;
  const bool over = deadline_ && now >= deadline_;
  const bool bystander = what.local && !what.accepted && code == Code::WorkerGone;
  // A full node says so at once, and one that was not reached did nothing.
  const bool begun = code == Code::WorkerGone && (what.local || what.accepted);
  in_all_ += begun;
  if (what.progress) in_row_ = harmed_ = 1;
  else if (!bystander) ++in_row_, harmed_ += begun;
  tried_.insert(what.node);
  if (code != Code::WorkerGone && code != Code::Busy) return GiveUp{what.error};
  // Another node now, if there is one and the budget allows; else when there is room, or budget. No node did work for
  // such a request, so it cannot be what harms them.
  const auto elsewhere = [&]() -> Decision {
    if (over) return GiveUp{what.error};
    if (others && in_row_ < limits::kAttempts && (what.free || budget.take(now))) return Retry{now, !what.free, false};
    in_row_ = 0;
    if (!may_wait_ || refused_for_wait(what.error)) return GiveUp{what.error};
    return WaitForRoom{code == Code::WorkerGone};
  };
  if (!begun) return elsewhere();  // the wait for room has its own end
  if (in_all_ >= limits::kAttemptsInAll) return GiveUp{what.error};
  if (harmed_ >= limits::kAttempts) return GiveUp{what.error};

  Retry retry;
  retry.same_node = !others;
  // Elsewhere at once, the second time after a moment; at the same node after its worker's restart.
  const double jitter = 0.5 + 0.5 * unit_at(seed_, static_cast<uint64_t>(in_all_));
  double wait = 0;
  if (!others) wait = limits::kRetrySameMs * (in_all_ > 1 && !what.progress ? 4.0 : 1.0);
  else if (in_row_ > 1) wait = limits::kRetryElsewhereMs;
  retry.at = now + static_cast<Instant>(wait * jitter);
  if (deadline_ && retry.at >= deadline_) return GiveUp{what.error};

  if (!what.local && !what.free && in_all_ > 1) {
    if (!budget.take(now)) return may_wait_ ? Decision(WaitForRoom{true}) : Decision(GiveUp{what.error});
    retry.costs_budget = true;
  }
  return retry;
}

Instant Attempts::patience(const Choice& choice, Instant now) const {
  const Instant by = now + std::max<int64_t>(limits::kPatienceMs, limits::kPatienceTimes * choice.expected_ms);
  return deadline_ ? std::min(by, deadline_) : by;
}

}  // namespace verge::router
