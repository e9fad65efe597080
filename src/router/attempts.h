// Whether a failed attempt is repeated, where and when. Pure.
// A1 Only WorkerGone and Busy are retried; Busy never at the same node, for it would be as busy there.
// A2 At most kAttempts in a row that bring the client nothing new, and kAttemptsInAll. A request that still
//    waited in a local worker's queue when the worker died is not what killed it: only the second limit counts.
// A3 Nothing starts at or past the deadline.
// A4 Retries under way never exceed the budget, a fifth of the requests under way (at least 3), so that a
//    cluster in trouble is not buried by them. Free of it are local nodes, whose supervisor holds the
//    restarts back, and the first retry of a request that a node had accepted before it died.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "router/choose.h"
#include "support/error.h"

namespace verge::router {

class RetryBudget {
 public:
  void request_started() { ++requests_; }
  void request_ended() { --requests_; }
  bool take();  // false: none left
  void give_back() { --retries_; }
  int retries() const { return retries_; }

 private:
  int requests_ = 0;
  int retries_ = 0;
};

struct Failed {
  std::string node;
  bool local = false;      // that node is
  Error error;
  bool accepted = false;   // the node had taken the request
  bool progress = false;   // the client got something new from this attempt
};

struct Retry {
  Instant at = 0;          // WakeAt
  bool costs_budget = false;
  bool same_node = false;  // the node may be chosen again: there may be no other, and it restarts its worker
};
struct GiveUp {
  Error error;
};
using Decision = std::variant<Retry, GiveUp>;

class Attempts {
 public:
  // deadline: on the same clock as `now`; 0 = none.
  Attempts(Instant deadline, uint64_t seed) : deadline_(deadline), seed_(seed) {}

  // others: choose() finds a node that has not been tried.
  Decision failed(const Failed& what, bool others, RetryBudget& budget, Instant now);
  const Tried& tried() const { return tried_; }
  // With the nodes again that were tried, for a Retry with same_node.
  void forget_tried() { tried_.clear(); }
  void mark_tried(const std::string& node) { tried_.insert(node); }
  int made() const { return in_all_; }

 private:
  Instant deadline_;
  uint64_t seed_;
  Tried tried_;
  int in_row_ = 0;  // attempts without progress
  int in_all_ = 0;
};

}  // namespace verge::router
