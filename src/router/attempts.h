// Whether a failed attempt is repeated, where and when. Pure.
// A1 Only WorkerGone and Busy are retried; Busy never at the same node, for it would be as busy there.
//    Where all are busy the request waits for room (capacity.h) unless it would not, or a node refused it for its wait.
// A2 At most kAttempts in a row that bring the client nothing new, and kAttemptsInAll, of those that a node had begun. A
//    request that still waited in a local worker's queue when the worker died is not what killed it: only the second limit
//    counts; one that never reached a machine has harmed nobody: it is bounded by the wait for room alone.
// A3 Nothing starts at or past the deadline. (journeys.h forgets it once the client has something.)
// A4 Retries under way never exceed the budget, a fifth of the requests under way (at least 3), nor
//    all of them together a fifth of all requests (and kRetryPerSecond), so that a cluster in trouble
//    is not buried by them. Free of it are local nodes, whose supervisor holds the restarts back;
//    what a lost machine held, where the next one does well (Registry::doubtful); and the first
//    retry of a request that a node had accepted. Where the budget is used up the request waits for
//    it, as for room.
// A5 An attempt is given up where the node is dead (Registry::health) or silent past patience(): a node that hangs
//    delays what was sent to it, and no more.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "router/choose.h"
#include "support/error.h"
#include "support/limits.h"
#include "support/overload_limits.h"

namespace verge::router {

// A node refused a request for its wait: it has counted what its tenant has waiting there, and waiting here would only add to it.
inline bool refused_for_wait(const Error& error) { return error.code == Code::Busy && error.retry_after_ms > limits::kRetrySoonMs; }

class RetryBudget {
 public:
  void request_started() {
    ++requests_;
    if (credit_ < kMostCredit) credit_ += limits::kRetryPercent;
  }
  void request_ended() { --requests_; }
  bool take(Instant now);  // false: none left
  void give_back() { --retries_; }
  int retries() const { return retries_; }

 private:
  static constexpr int kMostCredit = 100 * 100;     // hundredths of a retry: what a quiet hour saves up is bounded
  int requests_ = 0;
  int retries_ = 0;
  int credit_ = limits::kRetryFloor * 100;
  Instant credited_at_ = 0;
};

struct Failed {
  std::string node;
  bool local = false;      // that node is
  Error error;
  bool accepted = false;   // the node had taken the request
  bool progress = false;   // the client got something new from this attempt
  bool free = false;       // of the budget: another machine that does well takes over a lost one's
};

struct Retry {
  Instant at = 0;          // WakeAt
  bool costs_budget = false;
  bool same_node = false;  // the node may be chosen again: there may be no other, and it restarts its worker
};
struct WaitForRoom {       // in CapacityQueue; then any node again
  bool costs_budget = false;  // leaves it for a doubtful node only with RetryBudget::take()
};
struct GiveUp {
  Error error;
};
using Decision = std::variant<Retry, WaitForRoom, GiveUp>;

class Attempts {
 public:
  // deadline: on the same clock as `now`; 0 = none. may_wait: false where the request says reject_if_busy.
  Attempts(Instant deadline, uint64_t seed, bool may_wait = true) : deadline_(deadline), seed_(seed), may_wait_(may_wait) {}

  // others: choose() finds a node that has not been tried.
  Decision failed(const Failed& what, bool others, RetryBudget& budget, Instant now);
  void forget_deadline() { deadline_ = 0; }
  // Until when the node of an attempt that starts now may stay silent before it accepts the request.
  Instant patience(const Choice& choice, Instant now) const;
  const Tried& tried() const { return tried_; }
  // With the nodes again that were tried, for a Retry with same_node and after WaitForRoom.
  void forget_tried() { tried_.clear(); }
  void mark_tried(const std::string& node) { tried_.insert(node); }

 private:
  Instant deadline_;
  uint64_t seed_;
  bool may_wait_;
  Tried tried_;
  int in_row_ = 0;  // attempts without progress
  int harmed_ = 0;  // those of them that a node had begun
  int in_all_ = 0;
};

}  // namespace verge::router
