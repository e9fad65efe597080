// What the node tells of its models: to people, to the router and to other machines.
#include <algorithm>

#include "node/local/local_node.h"

namespace verge::node {
namespace asio = boost::asio;
using protocol::task;
namespace {

constexpr uint64_t kLoadBytesPerMs = 500'000;  // a load that nobody has measured yet: a SATA disk's speed

}  // namespace

json::value LocalNode::status() const {
  json::array models;
  for (const auto& [id, slot] : slots_) {
    if (slot->supervisor.state() == Supervisor::State::Cold && slot->loads == 0) continue;
    json::object model = {{"id", id},
                          {"task", slot->model.task},
                          {"path", slot->model.files.path},
                          {"state", slot->supervisor.suspect() ? "suspect" : to_string(slot->supervisor.state())},
                          {"in_flight", slot->in_flight},
                          {"waiting", slot->waiters.size()},
                          {"requests", slot->requests},
                          {"loads", slot->loads},
                          {"load_ms", slot->load_ms},
                          {"crashes", slot->supervisor.crashes()},
                          {"progress", slot->progress}};
    if (slot->changed) model["files_changed"] = true;
    if (slot->child) model["pid"] = slot->child->pid();
    for (const char* key : {"weight_bytes", "kv_bytes", "context_tokens", "pages", "architecture"})
      if (auto it = slot->ready.find(key); it != slot->ready.end() && slot->child) model[key] = it->value();
    models.push_back(std::move(model));
  }
  return json::object{{"name", options_.name},
                      {"state", stopping_ ? "draining" : "up"},
                      {"memory_budget_bytes", ledger_.budget()},
                      {"memory_reserved_bytes", ledger_.reserved()},
                      {"models", std::move(models)}};
}

std::vector<protocol::ModelReport> LocalNode::figures() {
  std::vector<protocol::ModelReport> out;
  for (const auto& [id, model] : offered_) {
    protocol::ModelReport one;
    one.id = id;
    one.task = model.task;
    const uint64_t bytes = memory_estimate(model);
    if (bytes > options_.memory_bytes) continue;  // it could never be loaded here
    one.bytes = static_cast<int64_t>(bytes);
    one.load_ms = static_cast<int>(std::min<uint64_t>(600'000, 300 + model.files.bytes / kLoadBytesPerMs));
    const auto found = slots_.find(model.id);
    if (found != slots_.end()) {
      Slot& slot = *found->second;
      const auto state = slot.supervisor.state();
      if (state == Supervisor::State::Quarantined) continue;
      one.loaded = state == Supervisor::State::Ready && slot.client;
      one.loading = state == Supervisor::State::Loading;
      if (slot.load_ms > 0) one.load_ms = static_cast<int>(slot.load_ms);
      if (one.loaded) {
        static_cast<protocol::Load&>(one) = slot.own;
        one.slots = slot.own.slots;
        one.wait_slots = slot.own.wait_slots;
        one.prefill_tokens_per_s = slot.own.prefill_tokens_per_s;
        one.kv_free_tokens = slot.own.kv_free_tokens;
        one.suspect = slot.supervisor.suspect();
        one.build = slot.build;
        one.queued += static_cast<int>(slot.waiters.size());
        one.first_token_ms = slot.pace.first_token_ms();
        one.slot_ms = slot.pace.slot_ms();
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace verge::node
