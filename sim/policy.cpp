// Who gets the request: our choice, or one of those that it is compared with.
#include <limits>

#include "sim/world.h"

namespace verge::sim {

const char* name_of(Policy policy) {
  switch (policy) {
    case Policy::RoundRobin: return "round-robin";
    case Policy::Nearest: return "nearest";
    case Policy::LeastLoaded: return "least-loaded";
    case Policy::Ours: return "ours";
    case Policy::Oracle: return "oracle";
  }
  return "";
}

// To the first token, from the true state of this instant.
double World::true_ms(const Gateway& gateway, const Machine& machine, const Client& client) const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (!machine.alive || machine.frozen_until > agenda_.now() || isolated(machine) || cut(gateway.city, machine.city) || cut(machine.city, gateway.city)) return kNever;
  const Engine& engine = machine.engines[static_cast<size_t>(client.model)];
  const ModelSpec& spec = models_[static_cast<size_t>(client.model)];
  if (!engine.on_disk || static_cast<int>(engine.queue.size()) + engine.in_transit >= 2 * spec.slots) return kNever;
  const double speed = machine.speed / machine.slow;
  double tokens = engine.transit_tokens;
  for (const Job& job : engine.queue) tokens += job.uncached;
  double own = client.prompt + client.got;
  if (client.session)
    if (const auto cached = engine.cache.find(client.session); cached != engine.cache.end()) own = std::max(1.0, own - cached->second.first);
  double total = 2 * one_way_ms(static_cast<size_t>(gateway.city), static_cast<size_t>(machine.city)) + spec.base_ms / speed + (tokens + own) / (spec.tokens_per_s * speed) * 1000;
  if (engine.prefilling) total += static_cast<double>(std::max<Micros>(0, engine.prefill_ends - agenda_.now())) / 1000;
  const int ahead = engine.inside() + engine.in_transit;
  if (ahead >= spec.slots && !engine.decoding.empty()) {
    std::vector<Micros> ends;
    for (const auto& [end, job] : engine.decoding) ends.push_back(end);
    const size_t k = std::min(ends.size() - 1, static_cast<size_t>(ahead - spec.slots));
    std::nth_element(ends.begin(), ends.begin() + static_cast<long>(k), ends.end());
    total += static_cast<double>(std::max<Micros>(0, ends[k] - agenda_.now())) / 1000;
  }
  if (engine.state == Engine::State::Loading) return total + static_cast<double>(engine.load_ends - agenda_.now()) / 1000;
  if (engine.state == Engine::State::Loaded) return total;
  int64_t free = machine.memory - machine.used;
  for (size_t m = 0; m < models_.size(); ++m)
    if (machine.engines[m].state == Engine::State::Loaded && machine.engines[m].inside() == 0) free += models_[m].memory;
  return spec.memory > free ? kNever : total + spec.load_ms * machine.slow + (engine.state == Engine::State::Waiting ? 5000 : 0);
}

bool World::room_exists(const Gateway& gateway, const Client& client) const {
  return std::any_of(machines_.begin(), machines_.end(), [&](const Machine& machine) { return true_ms(gateway, machine, client) < 5'000; });
}

router::Choice World::oracle(const Gateway& gateway, const Client& client, const router::Tried& tried) {
  router::Choice choice;
  double best = std::numeric_limits<double>::infinity();
  for (const Machine& machine : machines_) {
    if (tried.count(machine.name)) continue;
    const double total = true_ms(gateway, machine, client);
    if (total >= best) continue;
    best = total;
    choice.node = machine.name;
    choice.expected_ms = choice.estimate_ms = static_cast<int64_t>(total);
  }
  choice.full = choice.node.empty();
  return choice;
}

router::Choice World::pick(Gateway& gateway, const Client& client, const router::Need& need, const router::Tried& tried, router::Instant now, uint64_t seed) {
  using router::Health;
  const router::Registry& registry = gateway.journeys->registry();
  if (config_.policy == Policy::Ours) return router::choose(registry, need, tried, now, seed);
  if (config_.policy == Policy::Oracle) return oracle(gateway, client, tried);
  struct Option {
    const std::string* name;
    const router::Node* node;
    double load;
  };
  std::vector<Option> warm, cold;
  for (const auto& [name, node] : registry.nodes()) {
    const auto held = node.state.models.find(client.need.model);
    if (held == node.state.models.end() || registry.health(node, now) == Health::Dead || registry.ejected(node, now) || tried.count(name)) continue;
    const router::ModelState& model = held->second;
    if (!model.loaded && !model.loading && models_[static_cast<size_t>(client.model)].memory > node.state.memory_free_bytes) continue;
    const auto seen = node.seen.find(client.need.model);
    const int own = seen == node.seen.end() ? 0 : seen->second.under_way;
    if ((seen != node.seen.end() && now < seen->second.full_until) || model.queued >= model.wait_slots) continue;
    (model.loaded ? warm : cold).push_back({&name, &node, static_cast<double>(std::max(own, model.queued + model.running))});
  }
  std::vector<Option>& options = warm.empty() ? cold : warm;
  router::Choice choice;
  choice.full = options.empty();
  if (options.empty()) return choice;
  const Option* best = &options[gateway.turn++ % options.size()];
  for (const Option& option : options) {
    if (config_.policy == Policy::Nearest && registry.rtt_ms(*option.node) < registry.rtt_ms(*best->node)) best = &option;
    if (config_.policy == Policy::LeastLoaded && option.load < best->load) best = &option;
  }
  choice.node = *best->name;
  choice.expected_ms = 200;
  return choice;
}

}  // namespace verge::sim
