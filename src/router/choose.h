// Picks the node for one attempt. Pure: no clock, no IO.
// C1 Never returns a node that is draining, dead, full, tried, or lacks the model. Only where no other
//    is left: one that is suspect, then one that has no memory for it now, then one that was ejected.
// C2 Equal inputs and seed give equal choices.
// C3 Empty only if no node satisfies C1; `why` then says what was lacking, and `full` that room is all it was.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "router/registry.h"

namespace verge::router {

struct Need {
  std::string model;
  std::string affinity;       // requests with the same one share a prefix: keep them together where it costs little
  int64_t prompt_tokens = 0;  // estimate
  uint64_t prefix = 0;        // hash of the prompt's beginning (prefix_key), beside the affinity; 0 = none
  std::string digest;         // of the model's files; empty = any
  bool no_wait = false;       // reject_if_busy: only a node that would begin at once
};

using Tried = std::set<std::string>;

struct Choice {
  std::string node;  // empty: none
  std::string why;   // then: what was lacking
  bool full = false;        // then: a node would do once it has room
  int64_t expected_ms = 0;  // to the first token
  int64_t estimate_ms = 0;  // the same from the node's own words alone: for Registry::started
  int64_t cached_tokens = 0;  // hoped for
  bool local = false;
  explicit operator bool() const { return !node.empty(); }
};

// The nearest by expected time to the first token:
//   round trip + waiting prompts / reading speed + own uncached prompt / reading speed + a slot's time where all are
//   taken + load time where it is cold + what own eyes add (failures, lateness, a request that waits too long there).
// Nodes within kRttNearMs of the nearest come first; all others count once those are hotter than most or cost much
// more. Estimates that differ by less than they are worth are equal: two of these are drawn and the cheaper one
// taken, for otherwise all routers would run to the same node at once. A session's home is the node that served it
// last, else one found by rendezvous hashing among those not busier than 1.25 times the mean; both are a discount.
Choice choose(const Registry& registry, const Need& need, const Tried& tried, Instant now, uint64_t seed);

// Key of a prefix for Registry::cached and Need::prefix.
uint64_t prefix_key(std::string_view model, std::string_view prefix);

}  // namespace verge::router
