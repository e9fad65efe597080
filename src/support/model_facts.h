// What a model's files say of it before any weight is read: what it is for, and what it takes. Told by the engine, asked for by
// the node through a process of its own, shown by `verge inspect`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace verge {

// Of one kind of memory: "host" is the machine's own.
struct MemoryNeed {
  std::string pool;
  uint64_t weights = 0;       // bytes, as they are held while the model answers
  uint64_t kv_per_token = 0;  // bytes of keys and values in 16 bits; 0 = the task keeps none
  uint64_t scratch = 0;       // bytes of a full step

  bool operator==(const MemoryNeed&) const = default;
};

struct ModelFacts {
  std::string task;          // "text-generation", …
  std::string architecture;  // "llama", …; empty = not told
  int context_tokens = 0;    // that it was trained for; 0 = none, or not told
  std::vector<MemoryNeed> memory;  // by pool; empty = not told

  bool operator==(const ModelFacts&) const = default;
};

// The need of one pool; nothing where it takes none of it.
MemoryNeed need_of(const ModelFacts& facts, std::string_view pool);

json::object to_json(const ModelFacts& facts);
// LoadFailed where members are missing or of another kind.
Result<ModelFacts> read_model_facts(const json::object& object);

}  // namespace verge
