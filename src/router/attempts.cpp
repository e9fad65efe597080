#include "router/attempts.h"

#include <algorithm>

#include "support/limits.h"
#include "support/random.h"

namespace verge::router {

bool RetryBudget::take() {
  if (retries_ >= std::max(limits::kRetryFloor, requests_ * limits::kRetryPercent / 100)) return false;
  ++retries_;
  return true;
}

Decision Attempts::failed(const Failed& what, bool others, RetryBudget& budget, Instant now) {
  ++in_all_;
  const Code code = what.error.code;
  const bool bystander = what.local && !what.accepted && code == Code::WorkerGone;
  if (what.progress) in_row_ = 1;
  else if (!bystander) ++in_row_;
  tried_.insert(what.node);
  if (code != Code::WorkerGone && code != Code::Busy) return GiveUp{what.error};
  if (in_row_ >= limits::kAttempts || in_all_ >= limits::kAttemptsInAll) return GiveUp{what.error};
  if (code == Code::Busy && !others) return GiveUp{what.error};

  Retry retry;
  retry.same_node = !others;
  // Elsewhere at once, the second time after a moment; at the same node after its worker's restart.
  const double jitter = 0.5 + 0.5 * unit_at(seed_, static_cast<uint64_t>(in_all_));
  double wait = 0;
  if (!others) wait = limits::kRetrySameMs * (in_all_ > 1 && !what.progress ? 4.0 : 1.0);
  else if (in_row_ > 1) wait = limits::kRetryElsewhereMs;
  retry.at = now + static_cast<Instant>(wait * jitter);
  if (deadline_ && retry.at >= deadline_) return GiveUp{what.error};

  const bool free = what.local || (what.accepted && in_all_ == 1);
  if (!free) {
    if (!budget.take()) return GiveUp{what.error};
    retry.costs_budget = true;
  }
  return retry;
}

}  // namespace verge::router
