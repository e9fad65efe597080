// One simulated world: everything that happens in it follows from this.
#pragma once

#include <cstdint>
#include <string>

namespace verge::sim {

enum class Policy { RoundRobin, Nearest, LeastLoaded, Ours, Oracle };
inline constexpr Policy kPolicies[] = {Policy::RoundRobin, Policy::Nearest, Policy::LeastLoaded, Policy::Ours, Policy::Oracle};
const char* name_of(Policy policy);

struct Config {
  uint64_t seed = 0;
  Policy policy = Policy::Ours;
  int nodes = 200;
  int regions = 20;
  int models = 16;
  double seconds = 60;       // of arrivals; then what is under way may end
  double load = 0.5;         // of what all nodes together could do
  double max_requests = 1e9;
  // Faults, each per node (or pair of regions) and minute.
  double crashes = 0, freezes = 0, slowdowns = 0, cuts = 0;
  double gateway_crashes = 0;
  int liars = 0;             // nodes that say they are idle and fast
  double heartbeat_loss = 0.01, heartbeat_twice = 0.01;
  bool flood = false;        // one tenant sends half of everything, at more than all nodes can do
  double clock_skew_ms = 10'000;
};

// A full-size world of the comparison: 200 nodes in 20 regions and a compressed day.
Config full_size(uint64_t seed);
// A small world, one of thousands: its size, load and faults are drawn from the seed.
Config small_world(uint64_t seed);

}  // namespace verge::sim
