// Many nodes, many requests, failures: the pure parts in a world of events, from one seed. The world does
// what router.cpp does with sockets and clocks, so that thousands of worlds take a second.
#include <gtest/gtest.h>

#include <queue>

#include "router/attempts.h"
#include "router/choose.h"
#include "router/registry.h"
#include "router/resume.h"
#include "support/limits.h"
#include "support/random.h"

namespace verge::router {
namespace {

using namespace protocol;

constexpr int kTokens = 20;
int32_t id_at(uint64_t seed, size_t position) { return static_cast<int32_t>(random_at(seed, position) % 5000); }

struct World {
  explicit World(uint64_t s) : seed(s), random(s) {}

  struct Machine {
    bool alive = true;
    bool silent = false;  // partitioned from heartbeats
    std::set<int> running;  // requests
  };
  struct Client {
    Client(Request r, Instant deadline, uint64_t s) : resume(std::move(r)), attempts(deadline, s) {}
    Resume resume;
    Attempts attempts;
    std::string node;
    std::vector<int32_t> ids;
    bool holds_budget = false;
    int accepted = 0, terminals = 0;
    std::optional<Error> error;
    uint64_t seed = 0;
    int made = 0;
    uint64_t flight = 0;
  };

  uint64_t seed;
  Random random;
  Registry registry;
  RetryBudget budget;
  std::map<std::string, Machine> machines;
  std::vector<std::unique_ptr<Client>> clients;
  using Action = std::pair<Instant, std::pair<uint64_t, std::function<void()>>>;
  struct Later {
    bool operator()(const Action& a, const Action& b) const { return std::tie(a.first, a.second.first) > std::tie(b.first, b.second.first); }
  };
  std::priority_queue<Action, std::vector<Action>, Later> agenda;
  uint64_t order = 0;
  Instant now = 0;
  int starts = 0, retries = 0;

  void at(Instant when, std::function<void()> what) { agenda.push({when, {order++, std::move(what)}}); }

  NodeState state_of(const std::string& name) {
    NodeState state;
    ModelState& model = state.models["m"];
    model.loaded = true;
    model.running = static_cast<int>(machines[name].running.size());
    model.first_token_ms = 50;
    return state;
  }
  static Need need() {
    Need need;
    need.model = "m";
    return need;
  }
  void heartbeat(const std::string& name) {
    Machine& machine = machines[name];
    if (machine.alive && !machine.silent) registry.heartbeat(name, state_of(name), now);
    at(now + 1000, [this, name] { heartbeat(name); });
  }

  void begin(int index) {
    Client& client = *clients[static_cast<size_t>(index)];
    const Choice choice = choose(registry, need(), client.attempts.tried(), now, client.seed + static_cast<uint64_t>(client.made));
    if (!choice) return finish(client, client.error ? *client.error : Error{Code::Busy, choice.why});
    // C1, seen from outside.
    const Node* node = registry.find(choice.node);
    const auto usable = [&](const Node& of, const std::string& name) { return registry.health(of, now) != Health::Dead && !of.draining && !client.attempts.tried().count(name); };
    EXPECT_TRUE(usable(*node, choice.node)) << "seed " << seed;
    // One that was ejected only where there is nobody else.
    if (registry.ejected(*node, now)) {
      for (const auto& [name, other] : registry.nodes()) EXPECT_TRUE(!usable(other, name) || registry.ejected(other, now)) << "seed " << seed << ": " << name;
    }
    client.node = choice.node;
    ++client.made;
    ++starts;
    client.flight = registry.started(choice.node, "m", 3, choice.estimate_ms, now);
    const Request request = client.resume.next();
    EXPECT_EQ(client.ids, request.resume_ids) << "seed " << seed;
    Machine& machine = machines[choice.node];
    if (!machine.alive) return at(now + 1, [this, index] { lose(index, "refused"); });
    machine.running.insert(index);
    at(now + 20, [this, index, run = client.made] { token(index, run); });
  }

  void token(int index, int run) {
    Client& client = *clients[static_cast<size_t>(index)];
    if (client.terminals || client.made != run || !machines[client.node].running.count(index)) return;  // that attempt is over
    if (!client.resume.accepted()) {
      auto out = client.resume.pass(Accepted{3, 0, client.node, "m", false});
      ASSERT_TRUE(out);
      client.accepted += out->has_value();
    }
    const size_t position = client.resume.request().resume_ids.size();
    if (position == kTokens) return finish(client, std::nullopt);
    auto out = client.resume.pass(Token{{id_at(client.seed, position)}, "x", {}});
    ASSERT_TRUE(out && *out);
    client.ids.push_back(std::get<Token>(**out).ids[0]);
    at(now + 10, [this, index, run] { token(index, run); });
  }

  void lose(int index, const char* why) {
    Client& client = *clients[static_cast<size_t>(index)];
    const Error error{Code::WorkerGone, why};
    client.error = error;
    registry.ended(client.flight, &error, now);
    const Failed failed{client.node, false, error, client.resume.accepted(), client.resume.progress()};
    client.attempts.mark_tried(client.node);
    const bool others = static_cast<bool>(choose(registry, need(), client.attempts.tried(), now, client.seed));
    if (std::exchange(client.holds_budget, false)) budget.give_back();
    const Decision decision = client.attempts.failed(failed, others, budget, now);
    const Retry* retry = std::get_if<Retry>(&decision);
    if (!retry) return finish(client, error);
    ++retries;
    client.holds_budget = retry->costs_budget;
    if (retry->same_node) client.attempts.forget_tried();
    EXPECT_LE(client.made, limits::kAttemptsInAll);
    at(retry->at, [this, index] { begin(index); });
  }

  void finish(Client& client, std::optional<Error> error) {
    if (!error) {
      machines[client.node].running.erase(static_cast<int>(std::find_if(clients.begin(), clients.end(), [&](auto& c) { return c.get() == &client; }) - clients.begin()));
      registry.ended(client.flight, nullptr, now);
    }
    client.error = error;
    ++client.terminals;
    if (std::exchange(client.holds_budget, false)) budget.give_back();
    budget.request_ended();
  }

  void kill(const std::string& name, Instant down_ms) {
    Machine& machine = machines[name];
    if (!machine.alive) return;
    machine.alive = false;
    const auto lost = std::exchange(machine.running, {});
    for (int index : lost) at(now + 1, [this, index] { lose(index, "killed"); });
    at(now + down_ms, [this, name] { machines[name].alive = true; });
  }

  void run(int nodes, int requests, double kills_per_second, Instant length) {
    for (int i = 0; i < nodes; ++i) {
      const std::string name = "n" + std::to_string(i);
      machines[name];
      registry.add(name, false, state_of(name), 0);
      at(static_cast<Instant>(random.below(1000)), [this, name] { heartbeat(name); });
    }
    for (int i = 0; i < requests; ++i) {
      Request r;
      r.id = std::to_string(i), r.model = "m", r.task = "t", r.seed = random.next();
      auto client = std::make_unique<Client>(r, 0, r.seed);
      client->seed = r.seed;
      clients.push_back(std::move(client));
      at(static_cast<Instant>(random.below(static_cast<uint64_t>(length))), [this, i] {
        budget.request_started();
        begin(i);
      });
    }
    const int kills = static_cast<int>(kills_per_second * static_cast<double>(length) / 1000);
    for (int i = 0; i < kills; ++i) {
      const std::string name = "n" + std::to_string(random.below(static_cast<uint64_t>(nodes)));
      at(static_cast<Instant>(random.below(static_cast<uint64_t>(length))), [this, name] {
        if (random.chance(0.2)) {
          machines[name].silent = true;
          at(now + 5000, [this, name] { machines[name].silent = false; });
        } else {
          kill(name, 100 + static_cast<Instant>(random.below(4000)));
        }
      });
    }
    const Instant end = length + 60'000;
    while (!agenda.empty() && agenda.top().first <= end) {
      auto [when, what] = agenda.top();
      agenda.pop();
      now = when;
      what.second();
    }
  }
};

TEST(RouterSimulation, EveryRequestEndsOnceAndRight) {
  int whole = 0, failed = 0, retries = 0;
  std::map<std::string, int> whys;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    World world(seed);
    world.run(4 + static_cast<int>(world.random.below(10)), 200, 0.5, 10'000);
    for (const auto& client : world.clients) {
      ASSERT_EQ(1, client->terminals) << "seed " << seed;
      EXPECT_LE(client->accepted, 1);
      ++(client->error ? failed : whole);
      if (client->error) ++whys[client->error->message];
      ASSERT_TRUE(client->error || client->ids.size() == kTokens) << "seed " << seed;
      for (size_t i = 0; i < client->ids.size(); ++i) ASSERT_EQ(id_at(client->seed, i), client->ids[i]) << "seed " << seed;
    }
    EXPECT_EQ(0, world.budget.retries()) << "seed " << seed;
    for (const auto& [name, node] : world.registry.nodes()) for (const auto& [model, seen] : node.seen) EXPECT_EQ(0, seen.under_way + static_cast<int>(seen.waiting.size())) << "seed " << seed << " " << name;
    retries += world.retries;
  }
  EXPECT_GT(retries, 300) << "the faults must be felt";
  EXPECT_GT(whole, 1000 * failed) << whole << " whole, " << failed << " failed, " << (whys.empty() ? "" : whys.begin()->first);
}

TEST(RouterSimulation, TheSameSeedIsTheSameRun) {
  World one(42), two(42);
  one.run(5, 100, 5, 5'000);
  two.run(5, 100, 5, 5'000);
  EXPECT_EQ(one.starts, two.starts);
  for (size_t i = 0; i < one.clients.size(); ++i) {
    EXPECT_EQ(one.clients[i]->node, two.clients[i]->node);
    EXPECT_EQ(one.clients[i]->ids, two.clients[i]->ids);
  }
}

TEST(RouterSimulation, WhenAllNodesRefuseTheLoadStaysBounded) {
  World world(1);
  for (int i = 0; i < 6; ++i) world.at(0, [&world, i] { world.machines["n" + std::to_string(i)].alive = false; });
  world.run(6, 2000, 0, 2'000);
  EXPECT_LE(world.starts, 2000 * 12 / 10 + 2 * limits::kRetryFloor * 100) << "about 1.2 times what was asked for";
  for (const auto& client : world.clients) EXPECT_EQ(1, client->terminals);
}

}  // namespace
}  // namespace verge::router
