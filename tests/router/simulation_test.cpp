// Many nodes, many requests, failures: the router's own object (router/journeys.h) in a world of
// events, from one seed, so that thousands of worlds take a second.
#include <gtest/gtest.h>

#include <queue>

#include "router/journeys.h"
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
    explicit Client(Request r) : resume(std::move(r)) {}
    Resume resume;
    uint64_t id = 0;  // of its journey
    std::string node;
    std::vector<int32_t> ids;
    bool under_way = false;
    int accepted = 0, terminals = 0;
    std::optional<Error> error;
    uint64_t seed = 0;
    int made = 0;
  };

  uint64_t seed;
  Random random;
  Journeys journeys;
  std::map<std::string, Machine> machines;
  std::vector<std::unique_ptr<Client>> clients;
  std::map<uint64_t, int> by_id;
  using Event = std::pair<Instant, std::pair<uint64_t, std::function<void()>>>;
  struct Later {
    bool operator()(const Event& a, const Event& b) const { return std::tie(a.first, a.second.first) > std::tie(b.first, b.second.first); }
  };
  std::priority_queue<Event, std::vector<Event>, Later> agenda;
  uint64_t order = 0;
  Instant now = 0;
  Instant wake_at = 0;
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
    Actions actions;
    if (machine.alive && !machine.silent) journeys.heartbeat(name, state_of(name), now, actions);
    carry_out(actions);
    at(now + 1000, [this, name] { heartbeat(name); });
  }

  void carry_out(const Actions& actions) {
    for (const auto& action : actions) {
      const int index = by_id.at(action.id);
      Client& client = *clients[static_cast<size_t>(index)];
      switch (action.kind) {
        case router::Action::Kind::Start: start(index, action); break;
        case router::Action::Kind::HangUp: leave(index); break;
        case router::Action::Kind::Again: ++retries; break;
        case router::Action::Kind::Wait: break;
        case router::Action::Kind::Fail: finish(client, action.error); break;
      }
    }
    const Instant wake = journeys.wake();
    if (wake == Journeys::kNever || (wake_at && wake_at <= wake)) return;
    wake_at = std::max(now, wake);
    at(wake_at, [this, when = wake_at] {
      if (wake_at != when) return;
      wake_at = 0;
      Actions due;
      journeys.tick(now, due);
      carry_out(due);
    });
  }

  void begin(int index) {
    Client& client = *clients[static_cast<size_t>(index)];
    Actions actions;
    client.id = journeys.arrived({need(), "tenant", client.seed, 0, true}, now, actions);
    by_id[client.id] = index;
    carry_out(actions);
  }

  void start(int index, const router::Action& action) {
    Client& client = *clients[static_cast<size_t>(index)];
    EXPECT_FALSE(std::exchange(client.under_way, true)) << "J3, seed " << seed;
    // C1, from outside.
    const Registry& registry = journeys.registry();
    const std::string& name = action.choice.node;
    const auto usable = [&](const Node& of) { return registry.health(of, now) != Health::Dead && !of.draining; };
    EXPECT_TRUE(usable(*registry.find(name))) << "seed " << seed;
    client.node = name;
    client.made = action.attempt;
    ++starts;
    const Request request = client.resume.next();
    EXPECT_EQ(client.ids, request.resume_ids) << "seed " << seed;
    Machine& machine = machines[name];
    if (!machine.alive) return at(now + 1, [this, index, made = client.made] { lose(index, made, "refused"); });
    machine.running.insert(index);
    at(now + 20, [this, index, made = client.made] { token(index, made); });
  }

  void leave(int index) {
    Client& client = *clients[static_cast<size_t>(index)];
    client.under_way = false;
    machines[client.node].running.erase(index);
  }

  void token(int index, int run) {
    Client& client = *clients[static_cast<size_t>(index)];
    if (client.terminals || client.made != run || !client.under_way || !machines[client.node].running.count(index)) return;  // that attempt is over
    if (!client.resume.accepted()) {
      journeys.heard(client.id);
      journeys.accepted(client.id, "", {}, now);
      auto out = client.resume.pass(Accepted{3, 0, client.node, "m", false});
      ASSERT_TRUE(out);
      client.accepted += out->has_value();
    }
    const size_t position = client.resume.request().resume_ids.size();
    if (position == kTokens) {
      leave(index);
      Actions actions;
      journeys.ended(client.id, kTokens, now, actions);
      finish(client, std::nullopt);
      return carry_out(actions);
    }
    journeys.progressed(client.id, now);
    auto out = client.resume.pass(Token{{id_at(client.seed, position)}, "x", {}});
    ASSERT_TRUE(out && *out);
    client.ids.push_back(std::get<Token>(**out).ids[0]);
    at(now + 10, [this, index, run] { token(index, run); });
  }

  void lose(int index, int made, const char* why) {
    Client& client = *clients[static_cast<size_t>(index)];
    if (client.terminals || !client.under_way || client.made != made) return;
    leave(index);
    Actions actions;
    journeys.failed(client.id, Error{Code::WorkerGone, why}, static_cast<int64_t>(client.ids.size()), now, actions);
    EXPECT_LE(client.made, limits::kAttemptsInAll + retries);
    carry_out(actions);
  }

  void finish(Client& client, std::optional<Error> error) {
    EXPECT_FALSE(client.under_way) << "seed " << seed;
    client.error = error;
    ++client.terminals;
  }

  void kill(const std::string& name, Instant down_ms) {
    Machine& machine = machines[name];
    if (!machine.alive) return;
    machine.alive = false;
    const auto lost = std::exchange(machine.running, {});
    for (int index : lost) at(now + 1, [this, index, made = clients[static_cast<size_t>(index)]->made] { lose(index, made, "killed"); });
    at(now + down_ms, [this, name] { machines[name].alive = true; });
  }

  void run(int nodes, int requests, double kills_per_second, Instant length) {
    for (int i = 0; i < nodes; ++i) {
      const std::string name = "n" + std::to_string(i);
      machines[name];
      journeys.registry().add(name, false, state_of(name), 0);
      at(static_cast<Instant>(random.below(1000)), [this, name] { heartbeat(name); });
    }
    for (int i = 0; i < requests; ++i) {
      Request r;
      r.id = std::to_string(i), r.model = "m", r.task = "t", r.seed = random.next();
      auto client = std::make_unique<Client>(r);
      client->seed = r.seed;
      clients.push_back(std::move(client));
      at(static_cast<Instant>(random.below(static_cast<uint64_t>(length))), [this, i] { begin(i); });
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
    EXPECT_EQ(0, world.journeys.retries()) << "J2, seed " << seed;
    EXPECT_EQ(0u, world.journeys.waiting() + world.journeys.under_way()) << "J1, seed " << seed;
    for (const auto& [name, node] : world.journeys.registry().nodes()) for (const auto& [model, seen] : node.seen) EXPECT_EQ(0, seen.under_way + static_cast<int>(seen.waiting.size())) << "seed " << seed << " " << name;
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
