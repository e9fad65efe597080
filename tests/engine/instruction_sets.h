// Which instruction sets a test runs on: those of this machine. What is not there is said, once, so that a passing test on
// a small machine is not taken for one that has tried everything.
#pragma once

#include <cstdio>
#include <vector>

#include "engine/backend.h"

namespace verge::engine {

inline const std::vector<const char*>& instruction_sets() {
  static const std::vector<const char*> available = [] {
    std::vector<const char*> found;
    for (const char* isa : {"base", "avx2", "avx512"}) {
      if (make_cpu_backend({1, isa}).ok()) found.push_back(isa);
      else std::printf("[  SKIPPED ] all on %s: this machine does not have it\n", isa);
    }
    return found;
  }();
  return available;
}

}  // namespace verge::engine
