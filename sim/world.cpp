#include "sim/world.h"

#include <algorithm>
#include <cmath>

namespace verge::sim {
namespace {

constexpr double kAfterFaultsS = 90;     // when arrivals and faults have stopped, all is done within this (invariant): the longest answer on the slowest machine
constexpr double kMeanPrompt = 350, kMeanAnswer = 90, kMeanTalk = 300;  // tokens; talk: of sessions, spread over all

double lognormal(Random& random, double mean, double sigma) {
  const double u = std::max(1e-12, random.unit()), v = random.unit();
  const double normal = std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v);
  return mean * std::exp(sigma * normal - sigma * sigma / 2);
}

}  // namespace

Config full_size(uint64_t seed) {
  Config config;
  config.seed = seed;
  config.crashes = 0.05, config.freezes = 0.02, config.slowdowns = 0.05, config.cuts = 0.5, config.gateway_crashes = 0.05;
  return config;
}

Config small_world(uint64_t seed) {
  Random random(seed ^ 0x5eed);
  Config config;
  config.seed = seed;
  config.regions = 2 + static_cast<int>(random.below(4));
  config.nodes = config.regions * (2 + static_cast<int>(random.below(3)));
  config.models = 2 + static_cast<int>(random.below(4));
  config.seconds = 10 + static_cast<double>(random.below(10));
  config.max_requests = 200;
  config.load = 0.2 + 0.6 * random.unit();
  if (random.chance(0.8)) config.crashes = 0.6 * random.unit();
  if (random.chance(0.4)) config.freezes = 0.4 * random.unit();
  if (random.chance(0.4)) config.slowdowns = 0.5 * random.unit();
  if (random.chance(0.4)) config.cuts = 2 * random.unit();
  if (random.chance(0.1)) config.liars = 1;
  config.flood = random.chance(0.1);
  config.heartbeat_loss = random.chance(0.3) ? 0.1 : 0.01;
  config.heartbeat_twice = random.chance(0.3) ? 0.1 : 0.01;
  if (random.chance(0.3)) config.gateway_crashes = random.unit();
  return config;
}

World::World(const Config& config) : config_(config), random_(config.seed) {
  report_.served_from.resize(kCityCount * kCityCount);
  build_models();
  build_machines();
  for (int g = 0; g < config_.regions; ++g) {
    auto gateway = std::make_unique<Gateway>();
    gateway->index = gateway->city = g;
    gateway->skew = ms(1e6 + config_.clock_skew_ms * (2 * random_.unit() - 1));
    gateway->last_heard.resize(machines_.size());
    start_gateway(*gateway);
    router::Registry& registry = gateway->journeys->registry();
    for (Machine& machine : machines_) registry.heartbeat(machine.name, describe(machine), clock(*gateway));
    gateways_.push_back(std::move(gateway));
  }
  for (const Machine& machine : machines_) {
    agenda_.at(ms(1000 * random_.unit()), [this, index = machine.index] { heartbeat(index); });
    agenda_.at(ms(1000 * random_.unit()), [this, index = machine.index] { place(index); });
  }
  for (int g = 0; g < config_.regions; ++g) {
    agenda_.at(ms(1000 * random_.unit()), [this, g] { forget(g); });
    agenda_.at(ms(1000 * random_.unit()), [this, g] { probe(g); });
  }
  arrivals_end_ = ms(config_.seconds * 1000);
  schedule_arrivals();
  build_allocations();
  schedule_faults();
}

void World::violate(const std::string& what) {
  const std::string text = fmt::format("seed {} at {:.3f} s: {}", config_.seed, static_cast<double>(agenda_.now()) / 1e6, what);
  if (report_.violations.size() < 10) report_.violations.push_back(text);
}

void World::build_models() {
  // Of 1, 8 and 70 billion weights, about, on the accelerators that serve them.
  struct Kind {
    int64_t memory;
    double tokens_per_s, token_ms, base_ms, load_ms;
    int slots;
  };
  constexpr Kind kKinds[] = {{3, 20'000, 6, 12, 3'000, 32}, {10, 8'000, 14, 25, 8'000, 24}, {24, 3'000, 28, 50, 15'000, 16}};
  double sum = 0;
  for (int m = 0; m < config_.models; ++m) {
    const Kind& kind = kKinds[m % 3 == 2 && m % 2 ? 2 : m % 3 == 0 ? 1 : 0];
    models_.push_back({"m" + std::to_string(m), kind.memory, kind.tokens_per_s, kind.token_ms, kind.base_ms, kind.load_ms, kind.slots, 1 / std::pow(m + 1.0, 0.9)});
    sum += models_.back().popularity;
  }
  for (ModelSpec& spec : models_) spec.popularity /= sum;
}

void World::build_machines() {
  double weights = 0;
  for (int r = 0; r < config_.regions; ++r) weights += kCities[r].weight;
  std::vector<int> cities;
  for (int r = 0; r < config_.regions; ++r)
    for (int k = std::max(1, static_cast<int>(config_.nodes * kCities[r].weight / weights)); k > 0; --k) cities.push_back(r);
  while (static_cast<int>(cities.size()) < config_.nodes) cities.push_back(static_cast<int>(random_.below(static_cast<uint64_t>(config_.regions))));
  for (size_t i = 0; i < cities.size(); ++i) {
    Machine machine;
    machine.index = static_cast<int>(i);
    machine.city = cities[i];
    machine.name = fmt::format("{}-{}", kCities[cities[i]].name, i);
    machine.speed = std::array{0.7, 1.0, 1.4}[random_.below(3)];
    machine.memory = std::array{24, 48, 80}[random_.below(3)];
    machine.liar = static_cast<int>(i) < config_.liars;
    machine.ledger = std::make_unique<node::Ledger>(static_cast<uint64_t>(machine.memory));
    machine.placement = std::make_unique<router::Placement>(machine.name);
    machine.engines.resize(models_.size());
    for (Engine& engine : machine.engines) engine.on_disk = random_.chance(0.7);
    by_name_[machine.name] = machine.index;
    machines_.push_back(std::move(machine));
  }
  // What stands at the start: copies by demand, a quarter of the memory left free.
  std::vector<double> capacity(models_.size());
  const auto one = [&](const Machine& machine, const ModelSpec& spec) {  // requests a second
    return machine.speed * std::min(spec.tokens_per_s / (kMeanPrompt + kMeanTalk), spec.slots * 1000.0 / (spec.base_ms + kMeanPrompt / spec.tokens_per_s * 1000 + kMeanAnswer * spec.token_ms));
  };
  std::vector<int> copies(models_.size());
  for (bool more = true; more;) {
    more = false;
    std::vector<size_t> order(models_.size());
    for (size_t m = 0; m < order.size(); ++m) order[m] = m;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return capacity[a] / models_[a].popularity < capacity[b] / models_[b].popularity; });
    for (size_t m : order) {
      Machine* best = nullptr;
      for (Machine& machine : machines_) {
        if (machine.engines[m].state == Engine::State::Loaded || machine.used + models_[m].memory > machine.memory * 3 / 4) continue;
        if (!best || machine.memory - machine.used > best->memory - best->used) best = &machine;
      }
      if (!best) continue;
      best->engines[m].on_disk = true;
      best->engines[m].state = Engine::State::Loaded;
      best->used += models_[m].memory;
      best->ledger->reserve(models_[m].name, static_cast<uint64_t>(models_[m].memory), false, -node::kMinimumResidenceMs);
      capacity[m] += one(*best, models_[m]);
      ++copies[m];
      more = true;
      break;
    }
  }
  double most = 1e9;
  for (size_t m = 0; m < models_.size(); ++m) {
    most = std::min(most, capacity[m] / models_[m].popularity);
    router::Wish wish;
    wish.model = models_[m].name;
    wish.min = std::max(1, copies[m] / 2);
    wish.memory_bytes = models_[m].memory;
    wishes_.push_back(std::move(wish));
  }
  config_.load *= most;  // from here on: requests a second
}

void World::schedule_arrivals() {
  double weights = 0;
  for (int r = 0; r < config_.regions; ++r) weights += kCities[r].weight;
  if (config_.flood) config_.load *= 3;
  config_.load = std::min(config_.load, config_.max_requests / config_.seconds);
  for (const auto& gateway : gateways_) {
    gateway->peak_per_s = config_.load * kCities[gateway->city].weight / weights * 1.5;
    gateway->arrivals = Random(random_at(config_.seed, 1000 + static_cast<uint64_t>(gateway->index)));
    next_arrival(gateway->index);
  }
}

// A Poisson process whose rate follows the sun; the day is as long as the run.
void World::next_arrival(int g) {
  Gateway& gateway = *gateways_[static_cast<size_t>(g)];
  agenda_.in(ms(-std::log(1 - gateway.arrivals.unit()) / gateway.peak_per_s * 1000), [this, g] {
    if (agenda_.now() >= arrivals_end_) return;
    next_arrival(g);
    Random& random = gateways_[static_cast<size_t>(g)]->arrivals;
    const double day = static_cast<double>(agenda_.now()) / static_cast<double>(arrivals_end_) + kCities[g].longitude / 360;
    if (!random.chance((1 + 0.5 * std::sin(2 * M_PI * day)) / 1.5)) return;
    double draw = random.unit();
    int model = 0;
    while (model + 1 < static_cast<int>(models_.size()) && draw >= models_[static_cast<size_t>(model)].popularity) draw -= models_[static_cast<size_t>(model++)].popularity;
    arrive(g, model, random);
  });
}

void World::arrive(int g, int model, Random& random) {
  auto client = std::make_unique<Client>();
  // Where a gateway is down, the next one's address is used.
  for (size_t tried = 0; gateways_[static_cast<size_t>(g)]->down_until > agenda_.now() && tried < gateways_.size(); ++tried) g = (g + 1) % static_cast<int>(gateways_.size());
  client->gateway = g;
  client->model = model;
  client->seed = random.next();
  client->tenant = config_.flood && random.chance(0.7) ? 0 : 1 + static_cast<int>(random.below(5));
  client->prompt = std::clamp(static_cast<int>(lognormal(random, kMeanPrompt, 0.9)), 5, 6000);
  client->output = std::clamp(static_cast<int>(lognormal(random, kMeanAnswer, 0.8)), 1, 600);
  if (random.chance(0.4)) {
    client->session = 1 + static_cast<uint64_t>(g) * 1000 + static_cast<uint64_t>(model) * 50 + random.below(50);
    client->prompt += static_cast<int>(random.below(1500));  // the talk so far
    client->need.affinity = "s" + std::to_string(client->session);
  }
  client->need.model = models_[static_cast<size_t>(model)].name;
  client->need.prompt_tokens = client->prompt;
  ++report_.requests;
  ++open_;
  clients_.push_back(std::move(client));
  admit(static_cast<int>(clients_.size()) - 1, 0);
}

void World::admitted(int c) {
  Client& client = *clients_[static_cast<size_t>(c)];
  client.routed = agenda_.now();
  begin(c);
}

void World::schedule_faults() {
  const double minutes = config_.seconds / 60;
  const auto draw = [&](double per_minute, auto what) {
    double expected = per_minute * minutes;
    while (expected > 0 && random_.unit() < expected) {
      what(ms(config_.seconds * 1000 * random_.unit()));
      expected -= 1;
    }
  };
  for (const Machine& machine : machines_) {
    const int index = machine.index;
    draw(config_.crashes, [&](Micros when) {
      const bool silently = random_.chance(0.4);
      const Micros down = ms(500 + 12'000 * random_.unit());
      agenda_.at(when, [=, this] { crash(index, silently, down); });
    });
    draw(config_.freezes, [&](Micros when) {
      const Micros length = ms(500 + 10'000 * random_.unit());
      agenda_.at(when, [=, this] {
        if (!machines_[static_cast<size_t>(index)].alive) return;
        machines_[static_cast<size_t>(index)].frozen_until = agenda_.now() + length;
        ++report_.faults;
      });
    });
    draw(config_.slowdowns, [&](Micros when) {
      const double slow = 2 + 4 * random_.unit();
      const Micros length = ms(5'000 + 10'000 * random_.unit());
      agenda_.at(when, [=, this] {
        machines_[static_cast<size_t>(index)].slow = slow;
        ++report_.faults;
        agenda_.in(length, [=, this] { machines_[static_cast<size_t>(index)].slow = 1; });
      });
    });
  }
  for (int g = 0; g < config_.regions; ++g) {
    draw(config_.gateway_crashes, [&](Micros when) {
      const Micros down = ms(500 + 5'000 * random_.unit());
      agenda_.at(when, [=, this] { crash_gateway(g, down); });
    });
  }
  for (int r = 0; r < config_.regions; ++r) {
    draw(config_.cuts, [&](Micros when) {
      // Two regions, one way or both; or one machine from all.
      const Micros length = ms(1'000 + 9'000 * random_.unit());
      const int other = static_cast<int>(random_.below(static_cast<uint64_t>(config_.regions)));
      const uint64_t kind = random_.below(3);
      const int machine = static_cast<int>(random_.below(machines_.size()));
      agenda_.at(when, [=, this] {
        ++report_.faults;
        if (kind == 2 || other == r) {
          isolated_.insert(machine);
          agenda_.in(length, [=, this] { isolated_.erase(machine); });
          return;
        }
        cuts_.insert({r, other});
        if (kind == 1) cuts_.insert({other, r});
        agenda_.in(length, [=, this] {
          cuts_.erase({r, other});
          if (kind == 1) cuts_.erase({other, r});
        });
      });
    });
  }
}

void World::check_end() {
  check_books();
  if (open_) violate(fmt::format("{} requests never ended", open_));
  for (const auto& gateway : gateways_) {
    if (gateway->journeys->retries()) violate("the retry budget was not given back");
    if (gateway->journeys->waiting()) violate("the waiting room is not empty");
    if (gateway->journeys->under_way()) violate("a request is under way for ever");
    for (const auto& [name, node] : gateway->journeys->registry().nodes())
      for (const auto& [model, seen] : node.seen)
        if (seen.under_way || !seen.waiting.empty()) violate(name + " keeps count of requests that are over");
  }
  // Who asks for little gets at least what the flood gets.
  int64_t asked[2] = {}, failed[2] = {};
  for (const auto& client : clients_) {
    if (client->refused) continue;
    ++asked[client->tenant == 0];
    failed[client->tenant == 0] += client->error.has_value() && client->first_token < 0;
  }
  if (asked[0] >= 50 && asked[1] >= 50) {
    const double light = static_cast<double>(failed[0]) / static_cast<double>(asked[0]), flood = static_cast<double>(failed[1]) / static_cast<double>(asked[1]);
    if (light > flood + 0.05) violate(fmt::format("tenants starve: {:.3f} of theirs fail, {:.3f} of the flood's", light, flood));
  }
}

Report World::run() {
  while (agenda_.step(arrivals_end_)) {
  }
  const Micros end = arrivals_end_ + ms((kAfterFaultsS + 15) * 1000);  // faults last 15 s at most
  while (open_ && agenda_.step(end)) {
  }
  check_end();
  report_.events = agenda_.done();
  report_.simulated_s = static_cast<double>(agenda_.now()) / 1e6;
  mix(report_.events);
  return std::move(report_);
}

}  // namespace verge::sim
