// A machine's engines: memory under the real ledger, loads, one prompt read at a time, answers in slots.
#include "sim/world.h"

namespace verge::sim {

void World::run_on(int index, uint64_t boot, Micros after, std::function<void()> what) {
  agenda_.in(after, [this, index, boot, what = std::move(what)]() mutable {
    const Machine& machine = machines_[static_cast<size_t>(index)];
    if (!machine.alive || machine.boot != boot) return;
    if (machine.frozen_until > agenda_.now()) return run_on(index, boot, machine.frozen_until - agenda_.now(), std::move(what));
    what();
  });
}

void World::take(int index, Job job) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  Client& client = *clients_[static_cast<size_t>(job.request)];
  const int model = client.model;
  if (!machine.alive) {
    // A machine that is up refuses; one without power says nothing.
    if (!machine.mute)
      to_gateway(machine, job.gateway, job.request, job.attempt, client.heard, [this, c = job.request] { lost(c, Error{Code::WorkerGone, "refused"}); });
    return;
  }
  if (machine.frozen_until > agenda_.now()) return run_on(index, machine.boot, machine.frozen_until - agenda_.now(), [=, this] { take(index, job); });
  if (client.attempt != job.attempt) return;  // the gateway hung up meanwhile
  Engine& engine = machine.engines[static_cast<size_t>(model)];
  const ModelSpec& spec = models_[static_cast<size_t>(model)];
  if (static_cast<int>(engine.queue.size()) >= 2 * spec.slots) return refuse(index, job);
  if (engine.state == Engine::State::Cold) load(index, model);
  if (engine.state == Engine::State::Cold) return refuse(index, job);
  engine.queue.push_back(job);
  machine.ledger->touch(spec.name, engine.inside(), agenda_.now() / 1000);
  pump(index, model);
}

void World::refuse(int index, const Job& job) {
  Client& client = *clients_[static_cast<size_t>(job.request)];
  to_gateway(machines_[static_cast<size_t>(index)], job.gateway, job.request, job.attempt, client.heard, [this, c = job.request] { lost(c, Error{Code::Busy, "full"}); });
}

void World::load(int index, int model) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  Engine& engine = machine.engines[static_cast<size_t>(model)];
  const ModelSpec& spec = models_[static_cast<size_t>(model)];
  if (engine.state == Engine::State::Loading || engine.state == Engine::State::Loaded) return;
  const int64_t now = agenda_.now() / 1000;
  const auto bytes = static_cast<uint64_t>(spec.memory);
  auto plan = machine.ledger->plan(spec.name, bytes, now);
  if (plan.kind == node::Ledger::Plan::Kind::EvictFirst) {
    for (const std::string& victim : plan.evict)
      for (size_t m = 0; m < models_.size(); ++m)
        if (models_[m].name == victim) unload(index, static_cast<int>(m));
    plan = machine.ledger->plan(spec.name, bytes, now);
  }
  if (plan.kind == node::Ledger::Plan::Kind::WaitFor) {
    if (engine.state == Engine::State::Waiting) return;
    engine.state = Engine::State::Waiting;
    run_on(index, machine.boot, ms(static_cast<double>(plan.wait_ms)), [this, index, model] {
      Engine& again = machines_[static_cast<size_t>(index)].engines[static_cast<size_t>(model)];
      if (again.state != Engine::State::Waiting) return;
      again.state = Engine::State::Cold;
      if (again.queue.empty()) return;
      load(index, model);
      if (again.state != Engine::State::Cold) return;
      // What held the memory is in use again.
      for (const Job& job : std::exchange(again.queue, {})) refuse(index, job);
    });
    return;
  }
  if (plan.kind != node::Ledger::Plan::Kind::Fits || !machine.ledger->reserve(spec.name, bytes, false, now)) return;
  machine.used += spec.memory;
  if (machine.used > machine.memory) violate("memory past the budget");
  ++report_.cold_loads;
  engine.state = Engine::State::Loading;
  const Micros takes = ms(spec.load_ms * machine.slow);
  engine.load_ends = agenda_.now() + takes;
  run_on(index, machine.boot, takes, [this, index, model] {
    machines_[static_cast<size_t>(index)].engines[static_cast<size_t>(model)].state = Engine::State::Loaded;
    pump(index, model);
  });
}

void World::unload(int index, int model) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  Engine& engine = machine.engines[static_cast<size_t>(model)];
  if (engine.state != Engine::State::Loaded || engine.inside()) return;
  engine.state = Engine::State::Cold;
  engine.cache.clear();
  machine.ledger->release(models_[static_cast<size_t>(model)].name);
  machine.used -= models_[static_cast<size_t>(model)].memory;
}

void World::pump(int index, int model) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  Engine& engine = machine.engines[static_cast<size_t>(model)];
  const ModelSpec& spec = models_[static_cast<size_t>(model)];
  if (engine.state != Engine::State::Loaded) return;
  if (engine.prefilling || static_cast<int>(engine.decoding.size()) >= spec.slots || engine.queue.empty()) return;
  Job job = engine.queue.front();
  engine.queue.pop_front();
  const Client& client = *clients_[static_cast<size_t>(job.request)];
  double prompt = client.prompt + client.got;
  if (client.session) {
    if (const auto cached = engine.cache.find(client.session); cached != engine.cache.end()) {
      const double hit = std::min(prompt - 1, static_cast<double>(cached->second.first));
      report_.cached_tokens += hit;
      prompt -= hit;
    }
  }
  report_.prompt_tokens += client.prompt + client.got;
  const Micros takes = ms(prompt / spec.tokens_per_s * 1000 * machine.slow / machine.speed);
  engine.prefilling = job;
  engine.prefill_ends = agenda_.now() + takes;
  run_on(index, machine.boot, takes, [this, index, model, boot = machine.boot] { prefilled(index, model, boot); });
}

void World::prefilled(int index, int model, uint64_t boot) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  Engine& engine = machine.engines[static_cast<size_t>(model)];
  const ModelSpec& spec = models_[static_cast<size_t>(model)];
  if (!engine.prefilling) return pump(index, model);  // dropped
  const Job job = *engine.prefilling;
  engine.prefilling.reset();
  const double slower = machine.slow / machine.speed;
  const Micros first = ms(spec.base_ms * slower), whole = first + ms(job.tokens * spec.token_ms * slower);
  engine.decoding.emplace_back(agenda_.now() + whole, job);
  run_on(index, boot, first, [this, index, job] {
    Client& client = *clients_[static_cast<size_t>(job.request)];
    if (client.attempt != job.attempt) return;
    client.decode_began = agenda_.now();
    to_gateway(machines_[static_cast<size_t>(index)], job.gateway, job.request, job.attempt, client.heard, [this, c = job.request, load = load_of(machines_[static_cast<size_t>(index)], client.model)] { first_token(c, load); });
  });
  run_on(index, boot, whole, [this, index, model, boot] { finish(index, model, boot); });
  pump(index, model);
}

void World::finish(int index, int model, uint64_t) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  Engine& engine = machine.engines[static_cast<size_t>(model)];
  const ModelSpec& spec = models_[static_cast<size_t>(model)];
  std::erase_if(engine.decoding, [&](const auto& entry) {
    if (entry.first > agenda_.now()) return false;
    const Job& job = entry.second;
    Client& client = *clients_[static_cast<size_t>(job.request)];
    if (client.session) {
      engine.cache[client.session] = {client.prompt + client.output, ++engine.uses};
      if (engine.cache.size() > 256)
        engine.cache.erase(std::min_element(engine.cache.begin(), engine.cache.end(), [](const auto& a, const auto& b) { return a.second.second < b.second.second; }));
    }
    to_gateway(machine, job.gateway, job.request, job.attempt, client.heard, [this, c = job.request] { ended(c); });
    return true;
  });
  machine.ledger->touch(spec.name, engine.inside(), agenda_.now() / 1000);
  pump(index, model);
}

void World::drop(int index, int c, int number) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  const int model = clients_[static_cast<size_t>(c)]->model;
  Engine& engine = machine.engines[static_cast<size_t>(model)];
  const auto is_it = [&](const Job& job) { return job.request == c && job.attempt == number; };
  std::erase_if(engine.queue, is_it);
  std::erase_if(engine.decoding, [&](const auto& entry) { return is_it(entry.second); });
  if (engine.prefilling && is_it(*engine.prefilling)) engine.prefilling.reset();
  machine.ledger->touch(models_[static_cast<size_t>(model)].name, engine.inside(), agenda_.now() / 1000);
  pump(index, model);
}

void World::crash(int index, bool silently, Micros down) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  if (!machine.alive) return;
  ++report_.faults;
  machine.alive = false;
  machine.mute = silently;
  machine.frozen_until = 0;
  std::vector<Job> lost_jobs;
  for (size_t m = 0; m < machine.engines.size(); ++m) {
    Engine& engine = machine.engines[m];
    lost_jobs.insert(lost_jobs.end(), engine.queue.begin(), engine.queue.end());
    if (engine.prefilling) lost_jobs.push_back(*engine.prefilling);
    for (const auto& [end, job] : engine.decoding) lost_jobs.push_back(job);
    Engine fresh;
    fresh.on_disk = engine.on_disk;
    fresh.in_transit = engine.in_transit;
    fresh.transit_tokens = engine.transit_tokens;
    engine = std::move(fresh);
  }
  machine.used = 0;
  machine.ledger = std::make_unique<node::Ledger>(static_cast<uint64_t>(machine.memory));
  if (!silently)
    for (const Job& job : lost_jobs) {
      Client& client = *clients_[static_cast<size_t>(job.request)];
      to_gateway(machine, job.gateway, job.request, job.attempt, client.heard, [this, c = job.request] { lost(c, Error{Code::WorkerGone, "killed"}); });
    }
  agenda_.in(down, [this, index] {
    Machine& up = machines_[static_cast<size_t>(index)];
    up.alive = true;
    up.mute = false;
    ++up.boot;
    up.beat = 0;
    up.placement = std::make_unique<router::Placement>(up.name);
    mix(static_cast<uint64_t>(index));
  });
}

void World::place(int index) {
  Machine& machine = machines_[static_cast<size_t>(index)];
  agenda_.in(ms(900 + 200 * random_.unit()), [this, index] { place(index); });
  if (!machine.alive || machine.frozen_until > agenda_.now() || isolated(machine)) return;
  // What its region's gateway hears is what it hears.
  const auto near = std::find_if(gateways_.begin(), gateways_.end(), [&](const auto& g) { return g->city == machine.city; });
  if (near == gateways_.end()) return;
  const Gateway& gateway = **near;
  // A machine has a registry of its own; here its gateway's stands for it.
  if (gateway.down_until > 0 && agenda_.now() < gateway.down_until + ms(limits::kNodeSuspectMs)) return;
  const router::Demand demand{{kCities[machine.city].name, gateway.journeys->demand(clock(gateway))}};
  for (const router::PlacementAct& act : machine.placement->step(gateway.journeys->registry(), wishes_, demand, clock(gateway))) {
    for (size_t m = 0; m < models_.size(); ++m) {
      if (models_[m].name != act.model) continue;
      if (act.kind == router::PlacementAct::Kind::Load) load(index, static_cast<int>(m));
      else unload(index, static_cast<int>(m));
    }
  }
}

}  // namespace verge::sim
