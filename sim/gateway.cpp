// What router.cpp does, without sockets: asks the pure parts and does what they say.
#include "sim/world.h"

namespace verge::sim {
namespace {
constexpr double kBytesPerToken = 5, kBytesPerRequest = 600, kBytesPerAnswerToken = 60;
}

void World::begin(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  if (client.ends) return;
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  // Who comes later waits behind those who wait already.
  if (client.attempt == 0 && gateway.room.waits_for(client.need.model)) return wait_for_room(c, Error{Code::Busy, "others wait"});
  const router::Choice choice = pick(gateway, client, client.seed + static_cast<uint64_t>(client.attempt));
  if (!choice) return wait_for_room(c, Error{Code::Busy, choice.why});
  attempt(c, choice);
}

void World::attempt(int c, const router::Choice& choice) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  const int index = by_name_.at(choice.node);
  Machine& machine = machines_[static_cast<size_t>(index)];
  if (config_.policy == Policy::Ours && agenda_.now() - gateway.last_heard[static_cast<size_t>(index)] > ms(limits::kNodeDeadMs + 2)) violate("a dead node was chosen");
  const int number = ++client.attempt;
  client.machine = index;
  client.accepted = client.progress = false;
  client.in_transit = true;
  client.decode_began = 0;
  client.sent = client.heard = agenda_.now();
  client.flight = gateway.registry.started(choice.node, client.need.model, client.need.prompt_tokens - choice.cached_tokens, choice.estimate_ms, clock(gateway));
  gateway.under_way.insert(c);
  mix(static_cast<uint64_t>(agenda_.now()) ^ (static_cast<uint64_t>(c) << 40) ^ (static_cast<uint64_t>(index) << 20));
  Job job{c, number, client.gateway, static_cast<double>(client.prompt + client.got) - static_cast<double>(choice.cached_tokens), std::max(1, client.output - client.got)};
  Engine& engine = machine.engines[static_cast<size_t>(client.model)];
  ++engine.in_transit;
  engine.transit_tokens += job.uncached;
  client.transit_tokens = job.uncached;
  if (machine.city != gateway.city) report_.bytes_far += kBytesPerRequest + kBytesPerToken * (client.prompt + client.got);
  client.decode_tokens = job.tokens;
  to_machine(c, [this, index, job, model = client.model] {
    Engine& there = machines_[static_cast<size_t>(index)].engines[static_cast<size_t>(model)];
    Client& who = *clients_[static_cast<size_t>(job.request)];
    if (who.attempt == job.attempt && std::exchange(who.in_transit, false)) {
      --there.in_transit;
      there.transit_tokens -= job.uncached;
    }
    take(index, job);
  });
  const auto patience = [this, c, number](const char* why) {
    Client& now = *clients_[static_cast<size_t>(c)];
    if (now.attempt == number && now.machine >= 0 && !now.accepted) lost(c, Error{Code::WorkerGone, why});
  };
  if (!machine.alive || isolated(machine) || cut(gateway.city, machine.city) || cut(machine.city, gateway.city))
    agenda_.in(ms(limits::kHopConnectMs), [patience] { patience("no connection"); });
  agenda_.in(ms(static_cast<double>(client.attempts->patience(choice, clock(gateway)) - clock(gateway))), [patience] { patience("silent"); });
}

void World::accepted(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  client.accepted = true;
  gateway.registry.rtt(machines_[static_cast<size_t>(client.machine)].name, static_cast<double>(agenda_.now() - client.sent) / 1000);
}

void World::first_token(int c, int) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  gateway.registry.first_token(client.flight, clock(gateway));
  client.progress = true;
  if (client.first_token >= 0) return;
  client.first_token = agenda_.now();
}

void World::ended(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  const Machine& machine = machines_[static_cast<size_t>(client.machine)];
  gateway.registry.ended(client.flight, nullptr, clock(gateway));
  gateway.under_way.erase(c);
  if (client.session) gateway.registry.cached(router::prefix_key(client.need.model, client.need.affinity), machine.name, client.prompt + client.output);
  if (machine.city != gateway.city) report_.bytes_far += kBytesPerAnswerToken * client.decode_tokens;
  client.got += client.decode_tokens;
  if (client.got != std::max(1, client.output)) violate("an answer of the wrong length");
  client.machine = -1;
  if (++client.ends != 1) violate("a request was answered twice");
  --open_;
  if (std::exchange(client.holds_budget, false)) gateway.budget.give_back();
  gateway.budget.request_ended();
  settle(client);
  report_.ttft_ms.push_back(static_cast<float>(client.first_token - client.routed) / 1000);
  ++report_.served_from[static_cast<size_t>(gateway.city) * kCityCount + static_cast<size_t>(machine.city)];
  mix(static_cast<uint64_t>(client.first_token));
  if (gateway.room.size()) release(gateway.index);
}

// The gateway hangs up.
void World::leave_machine(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  Machine& machine = machines_[static_cast<size_t>(client.machine)];
  gateway.under_way.erase(c);
  if (client.in_transit) {
    Engine& engine = machine.engines[static_cast<size_t>(client.model)];
    --engine.in_transit;
    engine.transit_tokens -= client.transit_tokens;
    client.in_transit = false;
  }
  if (client.progress && client.decode_began) {
    const ModelSpec& spec = models_[static_cast<size_t>(client.model)];
    const double made = static_cast<double>(agenda_.now() - client.decode_began) / 1000 / (spec.token_ms * machine.slow / machine.speed);
    client.got += std::clamp(static_cast<int>(made), 0, client.decode_tokens - 1);
  }
  const int number = client.attempt, index = client.machine;
  client.machine = -1;
  if (machine.alive && !isolated(machine) && !cut(gateway.city, machine.city))
    agenda_.in(ms(one_way(gateway.city, machine.city)), [this, index, c, number] { drop(index, c, number); });
}

void World::lost(int c, Error error) {
  Client& client = *clients_[static_cast<size_t>(c)];
  if (client.ends || client.machine < 0) return;
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  const std::string node = machines_[static_cast<size_t>(client.machine)].name;
  if (client.progress) client.waits_until = 0;
  gateway.registry.ended(client.flight, &error, clock(gateway));
  // As in router.cpp: what comes as WorkerGone from another machine is the machine's end.
  const router::Failed failed{node, false, error, client.accepted, client.progress, error.code == Code::WorkerGone};
  leave_machine(c);
  if (std::exchange(client.holds_budget, false)) gateway.budget.give_back();
  client.attempts->mark_tried(node);
  const bool others = static_cast<bool>(pick(gateway, client, client.seed));
  const router::Decision decision = client.attempts->failed(failed, others, gateway.budget, clock(gateway));
  if (const auto* retry = std::get_if<router::Retry>(&decision)) {
    ++report_.retries;
    client.holds_budget = retry->costs_budget;
    if (retry->same_node) client.attempts->forget_tried();
    agenda_.in(ms(static_cast<double>(retry->at - clock(gateway))), [this, c] { begin(c); });
  } else if (const auto* wait = std::get_if<router::WaitForRoom>(&decision)) {
    client.owes_budget = wait->costs_budget;
    wait_for_room(c, error);
  } else {
    fail_with(c, error);
  }
}

void World::fail_with(int c, Error error) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  if (++client.ends != 1) violate("a request was answered twice");
  --open_;
  if (std::exchange(client.holds_budget, false)) gateway.budget.give_back();
  gateway.budget.request_ended();
  ++report_.errors;
  const bool avoidable = room_exists(gateway, client);
  report_.avoidable += avoidable;
  if (report_.whys.size() < 5) report_.whys.push_back(fmt::format("{} {:.1f}s {} {}: {}{}", config_.seed, static_cast<double>(agenda_.now()) / 1e6, client.need.model, to_string(error.code), error.message, avoidable ? " (avoidable)" : ""));
  client.error = std::move(error);
  settle(client);
  mix(static_cast<uint64_t>(c) * 31);
}

void World::wait_for_room(int c, const Error& error) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  client.attempts->forget_tried();
  if (std::exchange(client.holds_budget, false)) gateway.budget.give_back();
  if (!client.waits_until) client.waits_until = clock(gateway) + limits::kRoomWaitMs;
  const auto entered = gateway.room.enter(static_cast<uint64_t>(c) + 1, "t" + std::to_string(client.tenant), client.need.model, client.prompt, client.waits_until, clock(gateway));
  if (entered.pushed_out) fail_with(static_cast<int>(entered.pushed_out - 1), Error{Code::Busy, "pushed out"});
  if (!entered.in) return fail_with(c, error);
  client.error = error;
  ++report_.waited;
}

void World::release(int g) {
  Gateway& gateway = *gateways_[static_cast<size_t>(g)];
  gateway.room.release(clock(gateway), [&](uint64_t id) {
    const int c = static_cast<int>(id - 1);
    Client& client = *clients_[static_cast<size_t>(c)];
    const router::Choice choice = pick(gateway, client, client.seed + static_cast<uint64_t>(client.attempt));
    if (!choice || (client.owes_budget && !gateway.budget.take(clock(gateway)))) return false;
    client.holds_budget = std::exchange(client.owes_budget, false);
    if (client.attempt) ++report_.retries;
    client.error.reset();
    attempt(c, choice);  // at once: the next one must see it
    return true;
  });
}

void World::tick(int g) {
  Gateway& gateway = *gateways_[static_cast<size_t>(g)];
  agenda_.in(ms(100), [this, g] { tick(g); });
  for (uint64_t id : gateway.room.expire(clock(gateway))) {
    const int c = static_cast<int>(id - 1);
    const Error error = clients_[static_cast<size_t>(c)]->error.value_or(Error{Code::Busy, "waited in vain"});
    fail_with(c, Error{Code::Busy, "waited in vain: " + error.message});
  }
  std::vector<int> stranded;
  for (int c : gateway.under_way)
    if (gateway.registry.stranded(clients_[static_cast<size_t>(c)]->flight, clock(gateway))) stranded.push_back(c);
  for (int c : stranded) lost(c, Error{Code::WorkerGone, "dead"});
  gateway.registry.forget(clock(gateway));
  if (gateway.room.size()) release(g);
}

}  // namespace verge::sim
