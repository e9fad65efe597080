// Wires: delay with jitter, loss, packets twice and out of order, cuts in one direction or both. Connections keep order and
// send again while a cut lasts, as TCP does; heartbeats do not.
#include "sim/world.h"

namespace verge::sim {
namespace {
constexpr double kResendMs = 200;
}

double World::one_way(int from, int to) {
  const double mean = one_way_ms(static_cast<size_t>(from), static_cast<size_t>(to));
  const double jitter = -std::log(1 - random_.unit());  // exponential
  return mean * (1 + 0.03 * jitter) + 0.2 * jitter;
}

void World::to_machine(int c, std::function<void()> what) {
  const Client& client = *clients_[static_cast<size_t>(c)];
  const int number = client.attempt;
  const Machine& machine = machines_[static_cast<size_t>(client.machine)];
  const int from = gateways_[static_cast<size_t>(client.gateway)]->city;
  if (cut(from, machine.city) || isolated(machine)) {
    agenda_.in(ms(kResendMs), [this, c, number, what = std::move(what)]() mutable {
      if (clients_[static_cast<size_t>(c)]->attempt == number && clients_[static_cast<size_t>(c)]->in_transit) to_machine(c, std::move(what));
    });
    return;
  }
  agenda_.in(ms(one_way(from, machine.city)), std::move(what));
}

void World::to_gateway(const Machine& machine, int g, int c, int number, Micros& heard, std::function<void()> what) {
  Client& client = *clients_[static_cast<size_t>(c)];
  if (client.attempt != number || client.machine != machine.index) return;  // nobody listens
  Gateway& gateway = *gateways_[static_cast<size_t>(g)];
  if (cut(machine.city, gateway.city) || isolated(machine)) {
    agenda_.in(ms(kResendMs), [this, index = machine.index, boot = machine.boot, g, c, number, &heard, what = std::move(what)]() mutable {
      if (machines_[static_cast<size_t>(index)].boot == boot) to_gateway(machines_[static_cast<size_t>(index)], g, c, number, heard, std::move(what));
    });
    return;
  }
  heard = std::max(heard + 1, agenda_.now() + ms(one_way(machine.city, gateway.city)));
  agenda_.at(heard, [this, c, number, what = std::move(what)] {
    const Client& now = *clients_[static_cast<size_t>(c)];
    if (now.attempt == number && now.machine >= 0) what();
  });
}

// What a model's process says with each answer (protocol::Accepted).
protocol::Load World::load_of(const Machine& machine, int model) const {
  if (machine.liar) return {};
  const Engine& engine = machine.engines[static_cast<size_t>(model)];
  double tokens = engine.prefilling ? std::max(0.0, static_cast<double>(engine.prefill_ends - agenda_.now()) / 1e6 * models_[static_cast<size_t>(model)].tokens_per_s * machine.speed / machine.slow) : 0;
  for (const Job& job : engine.queue) tokens += job.uncached;
  return {static_cast<int>(engine.queue.size()) + engine.prefilling.has_value(), static_cast<int>(engine.decoding.size()), static_cast<int64_t>(tokens)};
}

router::NodeState World::describe(Machine& machine) {
  router::NodeState state;
  const City& city = kCities[machine.city];
  state.region = city.name;
  state.latitude = city.latitude, state.longitude = city.longitude;
  state.boot = machine.boot;
  state.sequence = ++machine.beat;
  for (size_t m = 0; m < models_.size(); ++m) {
    const Engine& engine = machine.engines[m];
    if (!engine.on_disk) continue;
    const ModelSpec& spec = models_[m];
    router::ModelState& model = state.models[spec.name];
    model.loaded = engine.state == Engine::State::Loaded;
    model.loading = engine.state == Engine::State::Loading;
    model.queued = static_cast<int>(engine.queue.size()) + engine.prefilling.has_value();
    model.running = static_cast<int>(engine.decoding.size());
    const double speed = machine.speed / machine.slow;
    double tokens = 0;
    for (const Job& job : engine.queue) tokens += job.uncached;
    if (engine.prefilling) tokens += std::max(0.0, static_cast<double>(engine.prefill_ends - agenda_.now()) / 1e6 * spec.tokens_per_s * speed);
    model.queued_tokens = static_cast<int64_t>(tokens);
    model.prefill_tokens_per_s = spec.tokens_per_s * speed;
    model.first_token_ms = static_cast<int>(spec.base_ms / speed);
    model.load_ms = static_cast<int>(model.loading ? (engine.load_ends - agenda_.now()) / 1000 : static_cast<Micros>(spec.load_ms * machine.slow));
    model.slots = spec.slots;
    model.slot_ms = static_cast<int>(100 * spec.token_ms / speed);
    model.wait_slots = 2 * spec.slots;
    model.bytes = spec.memory;
    if (machine.liar) {
      model.queued = model.running = 0;
      model.queued_tokens = 0;
      model.prefill_tokens_per_s *= 20;
      model.first_token_ms = 1;
    }
  }
  state.memory_free_bytes = machine.memory - machine.used;
  return state;
}

void World::heartbeat(int index) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  agenda_.in(ms(800 + 400 * random_.unit()), [this, index] { heartbeat(index); });
  if (!machine.alive || machine.frozen_until > agenda_.now()) return;
  const auto state = std::make_shared<const router::NodeState>(describe(machine));
  for (const auto& gateway : gateways_) {
    if (isolated(machine) || cut(machine.city, gateway->city) || gateway->down_until > agenda_.now()) continue;
    const int copies = random_.chance(config_.heartbeat_loss) ? 0 : random_.chance(config_.heartbeat_twice) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
      const double straggles = random_.chance(0.005) ? 2000 * random_.unit() : 0;
      agenda_.in(ms(one_way(machine.city, gateway->city) + straggles), [this, state, index, g = gateway.get()] {
        const std::string& name = machines_[static_cast<size_t>(index)].name;
        router::Actions actions;
        if (g->journeys->heartbeat(name, *state, clock(*g), actions)) g->last_heard[static_cast<size_t>(index)] = agenda_.now();
        carry_out(*g, actions);
      });
    }
  }
}

// Every five seconds to the eight nearest and two more.
void World::probe(int index) {
  Gateway& gateway = *gateways_[static_cast<size_t>(index)];
  agenda_.in(ms(4500 + 1000 * random_.unit()), [this, index] { probe(index); });
  std::vector<std::pair<double, int>> order;
  const router::Registry& registry = gateway.journeys->registry();
  for (const auto& [name, node] : registry.nodes()) order.emplace_back(registry.rtt_ms(node), by_name_.at(name));
  const size_t nearest = std::min<size_t>(8, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<long>(nearest), order.end());
  for (size_t i = 0; i < std::min<size_t>(10, order.size()); ++i) {
    const size_t n = i < nearest ? i : nearest + random_.below(order.size() - nearest);
    if (n >= order.size()) break;
    const Machine& machine = machines_[static_cast<size_t>(order[n].second)];
    if (!machine.alive || machine.frozen_until > agenda_.now() || isolated(machine) || cut(gateway.city, machine.city) || cut(machine.city, gateway.city)) continue;
    const double rtt = one_way(gateway.city, machine.city) + one_way(machine.city, gateway.city);
    agenda_.in(ms(rtt), [&gateway, name = machine.name, rtt] { gateway.journeys->registry().rtt(name, rtt); });
  }
}

}  // namespace verge::sim
