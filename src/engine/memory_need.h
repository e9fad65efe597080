// What a load would need and whether it could succeed, from headers only: no weight is read. For the node's ledger, and to
// refuse files before anything makes room for them.
#pragma once

#include <cstddef>
#include <string>

#include "support/error.h"

namespace verge::engine {

struct MemoryNeed {
  std::string task;            // as task_of()
  size_t weights = 0;          // bytes, as they are held in memory
  size_t kv_per_token = 0;     // bytes; 0 = the task keeps none
  size_t scratch = 0;          // bytes of a full step
};

// Checks what a load checks before it reads weights: the architecture, that every tensor is there whole and of its shape, the
// tokenizer. Errors: Io; LoadFailed naming the file and what is wrong with it.
Result<MemoryNeed> memory_needed(const std::string& path);

}  // namespace verge::engine
