// What models take of the budget: before they are loaded, and once they are.
#include <algorithm>

#include "node/local/local_node.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::node {
namespace asio = boost::asio;
using protocol::task;

// Keys and values of sixteen whole contexts, as the model's process makes them, where there is room for them.
uint64_t LocalNode::kv_need(const MemoryNeed& need, int model_context) const {
  constexpr uint64_t kSequences = 16;
  if (need.kv_per_token == 0 || model_context <= 0) return kv_bytes();
  const int context = options_.context_tokens > 0 ? std::min(options_.context_tokens, model_context) : model_context;
  const uint64_t each = need.kv_per_token * (options_.kv_type == "f32" ? 2 : 1);
  const uint64_t tokens = kSequences * ((static_cast<uint64_t>(context) + limits::kPageTokens - 1) / limits::kPageTokens * limits::kPageTokens);
  return std::min(kv_bytes(), each * tokens);
}

// What its headers tell; where nobody has asked yet, a guess by the size of its files.
uint64_t LocalNode::memory_estimate(const Resolved& model) const {
  const bool keeps = model.task == "text-generation";
  const auto facts = options_.inspections->known(model.files);
  if (!facts || facts->memory.empty()) return model.files.bytes + model.files.bytes / 8 + (keeps ? kv_bytes() : 0) + kProcessBytes;
  const MemoryNeed need = need_of(*facts, "host");
  return need.weights + need.scratch + (keeps ? kv_need(need, facts->context_tokens) : 0) + kProcessBytes;
}

Error LocalNode::does_not_fit(const Resolved& model, uint64_t bytes) const {
  std::string parts;
  if (const auto facts = options_.inspections->known(model.files); facts && !facts->memory.empty()) {
    const MemoryNeed need = need_of(*facts, "host");
    parts = fmt::format(" ({} of weights, {} for a step's work, the rest for keys, values and the process)", need.weights >> 20, need.scratch >> 20);
  }
  return fail(Code::LoadFailed, "model {} needs {} MiB of memory{}, more than the budget of {} MiB: give it more with --memory", model.id, bytes >> 20, parts,
              ledger_.budget() >> 20);
}

Result<void> LocalNode::could_load(const std::string& id) const {
  VERGE_ASSIGN(model, resolve(id));
  (void)options_.inspections->of(model.files);  // what is wrong with them, the load says
  if (const uint64_t bytes = memory_estimate(model); bytes > ledger_.budget()) return does_not_fit(model, bytes);
  return {};
}

// Makes room for what a model holds beyond what was promised it.
void LocalNode::obey(Slot& slot, const Ledger::Plan& plan) {
  for (const std::string& victim : plan.evict) {
    log::info("evicting idle model", {{"model", victim}, {"for", slot.model.id}});
    if (auto it = slots_.find(victim); it != slots_.end()) apply(*it->second, Supervisor::Stop{});
  }
}

// Counts what the loaded model holds. False: it has to go at once.
bool LocalNode::weigh(Slot& slot) {
  const int64_t said = get_int(slot.ready, "weight_bytes").value_or(0) + get_int(slot.ready, "kv_bytes").value_or(0);
  if (said <= 0) return true;
  const auto facts = options_.inspections->known(slot.model.files);
  slot.held = static_cast<uint64_t>(said) + (facts ? need_of(*facts, "host").scratch : 0) + kProcessBytes;
  const Ledger::Plan plan = ledger_.adjust(slot.model.id, slot.held, monotonic_ms());
  if (plan.kind == Ledger::Plan::Kind::Never) {
    const Error error = does_not_fit(slot.model, slot.held);
    log::error("loading failed", {{"model", slot.model.id}, {"error", error.message}});
    apply(slot, Supervisor::LoadFailed{error});
    slot.child->terminate();
    return false;
  }
  if (plan.kind != Ledger::Plan::Kind::Fits)
    log::warn("a model holds more than was reserved for it", {{"model", slot.model.id}, {"mib", slot.held >> 20}, {"budget_mib", ledger_.budget() >> 20}});
  obey(slot, plan);
  return true;
}

}  // namespace verge::node
