// How far a model's process is with its work, as its status tells it ("work") and its node judges it (node/liveness.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/json.h"

namespace verge::protocol {

// One kind of work that is done a unit at a time.
struct Progress {
  std::string what;         // "step", "batch", "encode", "prepare"
  uint64_t number = 0;      // of units begun or ended: another number than before is progress
  bool busy = false;        // a unit is under way
  int64_t expected_ms = 0;  // that it takes, by its size and the measured rate
};

json::array to_json(const std::vector<Progress>& work);
// What is no progress is left out.
std::vector<Progress> read_progress(const json::object& status);

// Milliseconds that `rows` rows take: at the measured rate; else, before anything was measured, at that of a slow machine, from
// the bytes of the weights that each row is multiplied with.
int64_t expected_ms(int64_t rows, double rows_per_second, uint64_t weight_bytes);

}  // namespace verge::protocol
