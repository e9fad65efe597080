#include "worker/admission.h"

#include <algorithm>
#include <cmath>

#include "support/overload_limits.h"

namespace verge::worker {
namespace {

constexpr double kLateMs = 4'000;    // what is older counts little
constexpr double kKnownMs = 500;     // of waiting: before, a pace says nothing
constexpr double kNewest = 0.05;     // of the mean answer

}  // namespace

void Admission::tick(int64_t now_ms) {
  const auto passed = static_cast<double>(std::max<int64_t>(0, now_ms - at_ms_));
  at_ms_ = std::max(at_ms_, now_ms);
  // Where nothing waits, or places are free, nothing is learnt of what the engine can do, and nothing forgotten.
  if (passed == 0 || waiting_.empty() || !crowded()) return;
  const double kept = std::exp(-passed / kLateMs);
  begun_cost_ *= kept;
  busy_ms_ = busy_ms_ * kept + kLateMs * (1 - kept);
}

double Admission::wait_ms(const std::string& tenant, int64_t cost) const {
  if (busy_ms_ < kKnownMs || begun_cost_ <= 0) return 0;
  const auto own = waiting_.find(tenant);
  const int64_t bring = cost + (own == waiting_.end() ? 0 : own->second);
  int64_t before = bring - cost;
  for (const auto& [other, waits] : waiting_)
    if (other != tenant) before += std::min(waits, bring);
  return static_cast<double>(before) * busy_ms_ / begun_cost_;
}

int64_t Admission::most_wait_ms() const {
  return std::min<int64_t>(limits_.time_ms, std::max<int64_t>(limits::kQueueWaitMs, static_cast<int64_t>(answer_ms_)));
}

Result<void> Admission::enter(uint64_t id, const std::string& tenant, int64_t cost, int64_t deadline_ms, int64_t now_ms) {
  tick(now_ms);
  if (deadline_ms != 0 && deadline_ms <= now_ms) return fail(Code::Timeout, "The request's deadline had passed when it arrived.");
  if (here() >= limits_.length + limits::kSequences) {
    Error error = fail(Code::Busy, "The model's queue is full ({} requests are here). Try again later.", here());
    error.retry_after_ms = 1000;
    return error;
  }
  const double wait = crowded() ? wait_ms(tenant, cost) : 0;
  const int64_t most = deadline_ms == 0 ? most_wait_ms() : std::min(most_wait_ms(), deadline_ms - now_ms);
  if (wait > static_cast<double>(most)) {
    Error error = fail(Code::Busy, "The request would wait about {} s. Try again later.", std::llround(wait / 1000));
    // Longer than anybody else would wait for it (router/attempts.h).
    error.retry_after_ms = std::clamp<int64_t>(static_cast<int64_t>(wait) - most + 1000, limits::kRetrySoonMs + 1, limits::kRetryAfterMaxMs);
    return error;
  }
  calls_[id] = {tenant, cost, 0, false};
  waiting_[tenant] += cost;
  return {};
}

void Admission::take_out(const Call& call) {
  const auto waits = waiting_.find(call.tenant);
  if ((waits->second -= call.cost) <= 0) waiting_.erase(waits);
}

void Admission::begun(uint64_t id, int64_t now_ms) {
  const auto it = calls_.find(id);
  if (it == calls_.end() || it->second.begun) return;
  tick(now_ms);
  Call& call = it->second;
  call.begun = true;
  call.begun_ms = now_ms;
  if (crowded()) begun_cost_ += static_cast<double>(call.cost);
  take_out(call);
}

void Admission::left(uint64_t id, int64_t now_ms) {
  const auto it = calls_.find(id);
  if (it == calls_.end()) return;
  tick(now_ms);
  const Call call = std::move(it->second);
  calls_.erase(it);
  if (!call.begun) return take_out(call);
  const auto took = static_cast<double>(now_ms - call.begun_ms);
  answer_ms_ += (answer_ms_ == 0 ? 1 : kNewest) * (took - answer_ms_);
}

}  // namespace verge::worker
