// Which models this node should load or give up, so that wishes and demand are met. Pure, and without a leader:
// every node computes the same ranks from what it knows of the others, and acts for itself alone. Views differ by a
// heartbeat or so; therefore a want must last before it is acted on, and what was done stays done for a while.
//
// P1 A pinned node holds its model where memory allows; no other rule makes it give it up.
// P2 Fewer holders than `min` in allowed regions: the next in line load it. A want that lasts lets one more try each
//    kPlacementWidenMs, so that a node which cannot do as it should stops nothing.
// P3 More holders than `max`, or a holder outside the allowed regions: the last in line give it up.
// P4 Demand near a node that is served from afar, or late, is worth a load: requests a second times the ms that each would be
//    spared. One node of a region at a time; only into free memory, or that of an idle model which is asked for far less.
// P5 Nothing loaded less than kPlacementHoldMs ago is given up, nothing given up less than that ago is loaded by demand.
#pragma once

#include <climits>
#include <map>
#include <string>
#include <vector>

#include "router/registry.h"

namespace verge::router {

struct Wish {
  std::string model;
  int min = 0;
  int max = INT_MAX;
  std::vector<std::string> pins;     // names of nodes
  std::vector<std::string> regions;  // allowed; empty = all
  std::string digest;                // empty = any
  int64_t memory_bytes = 0;          // where the node does not know
};

// Requests a second by region of the gateway that they entered and by model.
using Demand = std::map<std::string, std::map<std::string, double>>;

// A gateway's own count.
class DemandMeter {
 public:
  void asked(const std::string& model, Instant now);
  std::map<std::string, double> per_s(Instant now) const;

 private:
  struct Count {
    double value = 0;
    Instant at = 0;
  };
  std::map<std::string, Count> counts_;
};

struct PlacementAct {
  enum class Kind { Load, Unload };
  Kind kind;
  std::string model;
  std::string why;
};

class Placement {
 public:
  explicit Placement(std::string self) : self_(std::move(self)) {}
  // About once a second. The registry holds this node too, as it describes itself.
  std::vector<PlacementAct> step(const Registry& registry, const std::vector<Wish>& wishes, const Demand& demand, Instant now);

 private:
  struct View;  // placement.cpp
  void meet_wish(const View& view, const Wish& wish, std::vector<PlacementAct>& acts);
  void meet_demand(const View& view, const std::vector<Wish>& wishes, const Demand& demand, std::vector<PlacementAct>& acts);
  Instant wanted_for(const std::string& what, Instant now);
  bool held_long(const std::string& model, Instant now) const;

  std::string self_;
  std::map<std::string, Instant> wants_, wants_before_;  // since when; those of this step and of the last
  std::map<std::string, Instant> loaded_at_, unloaded_at_;
};

}  // namespace verge::router
