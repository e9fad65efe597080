// Picks the node for one attempt. Pure: no clock, no IO.
// C1 Never returns a node that is draining, late, ejected, tried, or lacks the model or the memory to load it.
// C2 Equal inputs and seed give equal choices.
// C3 Empty only if no node satisfies C1; `why` then says what was lacking.
#pragma once

#include <set>
#include <string>

#include "router/registry.h"

namespace verge::router {

struct Need {
  std::string model;
  int64_t memory_bytes = 0;  // to load it; 0 = not known
  std::string affinity;      // requests with the same one share a prefix: keep them together where it costs little
};

using Tried = std::set<std::string>;

struct Choice {
  std::string node;  // empty: none
  std::string why;   // then: what was lacking
  int64_t expected_ms = 0;  // to the first token
  bool local = false;
  explicit operator bool() const { return !node.empty(); }
};

// The nearest by expected time to the first token: round trip, load time where the model is cold (so a
// loaded node beats a cold one), its queue, its own first-token time, and failures since it was last heard. Nodes that differ by less than the estimate
// is worth are equal, and the seed decides: otherwise all routers would run to the same node at once.
Choice choose(const Registry& registry, const Need& need, const Tried& tried, Instant now, uint64_t seed);

// To the first token of a request that starts there now, ms.
int64_t expected_ms(const Node& node, const std::string& model);

}  // namespace verge::router
