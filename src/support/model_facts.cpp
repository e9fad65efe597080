#include "support/model_facts.h"

#include <algorithm>

namespace verge {

MemoryNeed need_of(const ModelFacts& facts, std::string_view pool) {
  const auto found = std::ranges::find(facts.memory, pool, &MemoryNeed::pool);
  return found == facts.memory.end() ? MemoryNeed{std::string(pool), 0, 0, 0} : *found;
}

json::object to_json(const ModelFacts& facts) {
  json::object memory;
  for (const MemoryNeed& need : facts.memory)
    memory[need.pool] = json::object{{"weights", need.weights}, {"kv_per_token", need.kv_per_token}, {"scratch", need.scratch}};
  return {{"task", facts.task}, {"architecture", facts.architecture}, {"context_tokens", facts.context_tokens}, {"memory", std::move(memory)}};
}

Result<ModelFacts> read_model_facts(const json::object& object) {
  const Error foreign = fail(Code::LoadFailed, "what was told of a model cannot be read");
  ModelFacts facts;
  const auto task = get_string(object, "task");
  const auto context = get_int(object, "context_tokens");
  const json::object* memory = get_object(object, "memory");
  if (!task || task->empty() || !context || *context < 0 || *context > INT32_MAX || !memory) return foreign;
  facts.task = *task;
  facts.architecture = get_string(object, "architecture").value_or("");
  facts.context_tokens = static_cast<int>(*context);
  for (const auto& [pool, value] : *memory) {
    const json::object* need = value.if_object();
    if (!need) return foreign;
    MemoryNeed one{std::string(pool), 0, 0, 0};
    for (const auto& [key, member] : {std::pair{"weights", &one.weights}, {"kv_per_token", &one.kv_per_token}, {"scratch", &one.scratch}}) {
      const auto bytes = get_int(*need, key);
      if (!bytes || *bytes < 0 || *bytes > INT64_MAX / 8) return foreign;
      *member = static_cast<uint64_t>(*bytes);
    }
    facts.memory.push_back(std::move(one));
  }
  return facts;
}

}  // namespace verge
