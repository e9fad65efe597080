// How much memory for keys and values, and what context window that allows. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "support/error.h"

namespace verge::worker {

struct KvNeed {
  int model_context = 0;         // what the model was trained for
  int wanted_context = 0;        // --context; 0 = the model's
  uint64_t page_bytes = 0;       // of one page, all layers
  uint64_t budget_bytes = 0;     // --kv-bytes; 0 = not said
  uint64_t available_bytes = 0;  // memory that the machine (or its cgroup) has left; 0 = not known
};
struct KvSize {
  int pages = 0;
  int context_tokens = 0;
  uint64_t bytes = 0;
};

// Pages for sixteen full contexts if the budget has room for them; where it lacks room for one, the context
// window shrinks to what fits. Without a budget: limits::kKvBytes, at most a quarter of what is available.
// LoadFailed where not even a page fits.
Result<KvSize> size_kv(const KvNeed& need);

}  // namespace verge::worker
