// A gateway carries out what the product's own object says (router/journeys.h), on simulated wires.
#include "sim/world.h"

namespace verge::sim {
namespace {
constexpr double kBytesPerToken = 5, kBytesPerRequest = 600, kBytesPerAnswerToken = 60;
}

// Without what it knew: nodes tell it in a second.
void World::start_gateway(Gateway& gateway) {
  gateway.journeys.emplace(true, [this, here = &gateway](uint64_t id, const router::Need& need, const router::Tried& tried, router::Instant now, uint64_t seed) {
    const auto known = here->clients.find(id);
    return pick(*here, *clients_[static_cast<size_t>(known == here->clients.end() ? here->arriving : known->second)], need, tried, now, seed);
  });
  const City& city = kCities[gateway.city];
  gateway.journeys->registry().set_place({city.name, city.latitude, city.longitude});
}

// Its connections break: machines drop what came over them, and clients have an error that nobody could spare them.
void World::crash_gateway(int g, Micros down) {
  Gateway& gateway = *gateways_[static_cast<size_t>(g)];
  if (gateway.down_until > agenda_.now()) return;
  ++report_.faults;
  gateway.down_until = agenda_.now() + down;
  gateway.wake_at = 0;
  const auto over = [&](Client& client) {
    if (++client.ends != 1) violate("a request was answered twice");
    --open_;
    ++report_.broken;
    client.error = Error{Code::WorkerGone, "its gateway died"};
  };
  for (const auto& [id, c] : std::exchange(gateway.clients, {})) {
    Client& client = *clients_[static_cast<size_t>(c)];
    if (client.machine >= 0) leave_machine(c);
    over(client);
    settle(client);
  }
  for (auto& [tenant, allowance] : gateway.allowances) {
    for (const auto& [c, round] : std::exchange(allowance.waiting, {})) {
      over(*clients_[static_cast<size_t>(c)]);
      clients_[static_cast<size_t>(c)]->refused = true;  // it never had a reservation
    }
  }
  start_gateway(gateway);
}

void World::begin(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  router::Arrival arrival{client.need, "t" + std::to_string(client.tenant), client.seed, 0, true};
  router::Actions actions;
  gateway.arriving = c;
  client.journey = gateway.journeys->arrived(std::move(arrival), clock(gateway), actions);
  gateway.clients[client.journey] = c;
  carry_out(gateway, actions);
}

void World::carry_out(Gateway& gateway, router::Actions& actions) {
  using Kind = router::Action::Kind;
  for (const router::Action& action : actions) {
    const int c = gateway.clients.at(action.id);
    switch (action.kind) {
      case Kind::Start: attempt(c, action.choice, action.attempt); break;
      case Kind::HangUp: leave_machine(c); break;
      case Kind::Again: ++report_.retries; break;
      case Kind::Wait: ++report_.waited; break;
      case Kind::Fail: failed(c, action.error); break;
    }
  }
  arm(gateway);
}

void World::arm(Gateway& gateway) {
  const router::Instant at = gateway.journeys->wake();
  if (at == router::Journeys::kNever) return;
  const Micros when = std::max(agenda_.now(), at * 1000 - gateway.skew);
  if (gateway.wake_at && gateway.wake_at <= when) return;
  gateway.wake_at = when;
  agenda_.at(when, [this, when, g = &gateway] {
    if (g->wake_at != when) return;  // an earlier one came between
    g->wake_at = 0;
    router::Actions actions;
    g->journeys->tick(clock(*g), actions);
    carry_out(*g, actions);
  });
}

void World::attempt(int c, const router::Choice& choice, int number) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  const int index = by_name_.at(choice.node);
  Machine& machine = machines_[static_cast<size_t>(index)];
  if (config_.policy == Policy::Ours && agenda_.now() - gateway.last_heard[static_cast<size_t>(index)] > ms(limits::kNodeDeadMs + 2)) violate("a dead node was chosen");
  if (client.machine >= 0) violate("two attempts of a request at once");
  client.attempt = number;
  client.machine = index;
  client.progress = false;
  client.in_transit = true;
  client.decode_began = 0;
  client.heard = agenda_.now();
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
  if (!machine.alive || isolated(machine) || cut(gateway.city, machine.city) || cut(machine.city, gateway.city))
    agenda_.in(ms(limits::kHopConnectMs), [this, c, number] {
      const Client& now = *clients_[static_cast<size_t>(c)];
      if (now.attempt == number && now.machine >= 0 && !now.progress) lost(c, Error{Code::WorkerGone, "no connection"});
    });
}

void World::first_token(int c, const protocol::Load& load) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  // In the product the word that a request was accepted comes with its first event.
  gateway.journeys->heard(client.journey);
  gateway.journeys->accepted(client.journey, "", load, clock(gateway));
  gateway.journeys->progressed(client.journey, clock(gateway));
  client.progress = true;
  if (client.first_token < 0) client.first_token = agenda_.now();
}

void World::ended(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  const Machine& machine = machines_[static_cast<size_t>(client.machine)];
  if (machine.city != gateway.city) report_.bytes_far += kBytesPerAnswerToken * client.decode_tokens;
  client.got += client.decode_tokens;
  if (client.got != std::max(1, client.output)) violate("an answer of the wrong length");
  client.machine = -1;
  if (++client.ends != 1) violate("a request was answered twice");
  --open_;
  settle(client);
  report_.ttft_ms.push_back(static_cast<float>(client.first_token - client.routed) / 1000);
  ++report_.served_from[static_cast<size_t>(gateway.city) * kCityCount + static_cast<size_t>(machine.city)];
  mix(static_cast<uint64_t>(client.first_token));
  router::Actions actions;
  gateway.journeys->ended(client.journey, client.got, clock(gateway), actions);
  gateway.clients.erase(client.journey);
  carry_out(gateway, actions);
}

// The gateway hangs up.
void World::leave_machine(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  Machine& machine = machines_[static_cast<size_t>(client.machine)];
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
  leave_machine(c);
  router::Actions actions;
  gateway.journeys->failed(client.journey, std::move(error), client.got, clock(gateway), actions);
  carry_out(gateway, actions);
}

void World::failed(int c, const Error& error) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  if (++client.ends != 1) violate("a request was answered twice");
  if (client.machine >= 0) violate("a request failed with an attempt under way");
  --open_;
  gateway.clients.erase(client.journey);
  ++report_.errors;
  const bool avoidable = room_exists(gateway, client);
  report_.avoidable += avoidable;
  if (report_.whys.size() < 5) report_.whys.push_back(fmt::format("{} {:.1f}s {} {}: {}{}", config_.seed, static_cast<double>(agenda_.now()) / 1e6, client.need.model, to_string(error.code), error.message, avoidable ? " (avoidable)" : ""));
  client.error = error;
  settle(client);
  mix(static_cast<uint64_t>(c) * 31);
}

// In the product a node that was long silent leaves by cluster/members.h.
void World::forget(int g) {
  agenda_.in(ms(1000), [this, g] { forget(g); });
  gateways_[static_cast<size_t>(g)]->journeys->registry().forget(clock(*gateways_[static_cast<size_t>(g)]));
}

}  // namespace verge::sim
