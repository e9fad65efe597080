// What came of a run, or of several.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace verge::sim {

struct Report {
  uint64_t hash = 0;             // of all that happened: the same seed gives the same
  uint64_t events = 0;
  double simulated_s = 0;
  int64_t requests = 0, errors = 0;
  int64_t refused = 0;           // by their tenant's allocation
  double overshoot = 0;          // the most that a tenant spent above its allocation, of what the bound lets it
  int64_t avoidable = 0;         // errors while a machine that could be reached had room
  int64_t cold_loads = 0, retries = 0, waited = 0;  // waited: for room
  int64_t faults = 0;
  int64_t broken = 0;            // requests that their gateway took with it when it died
  double bytes_far = 0;          // between regions
  double cached_tokens = 0, prompt_tokens = 0;
  std::vector<float> ttft_ms;    // of those answered
  std::vector<int64_t> served_from;  // [gateway's region * regions + machine's region]
  std::vector<std::string> violations;  // of invariants, with the seed
  std::vector<std::string> whys;        // of errors, the first few

  void add(const Report& other);
  double mean() const;
  double quantile(double q) const;
};

}  // namespace verge::sim
