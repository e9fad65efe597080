#include "router/choose.h"

#include <gtest/gtest.h>

#include "support/limits.h"
#include "support/random.h"

namespace verge::router {
namespace {

constexpr const char* kModel = "@cf/meta/llama-3.2-1b-instruct";

NodeState holding(bool loaded) {
  NodeState state;
  state.models[kModel].loaded = loaded;
  return state;
}
void add(Registry& registry, const std::string& name, const NodeState& state, double rtt_ms = 1) {
  registry.add(name, false, state, 0);
  registry.rtt(name, rtt_ms);
}
Need need_of(const std::string& affinity = "", int64_t prompt_tokens = 0) {
  Need need;
  need.model = kModel;
  need.affinity = affinity;
  need.prompt_tokens = prompt_tokens;
  return need;
}
Choice pick(const Registry& registry, const Tried& tried = {}, Instant now = 0, uint64_t seed = 1) { return choose(registry, need_of(), tried, now, seed); }

TEST(Choose, PrefersLoadedNodeOverNearerCold) {
  Registry registry;
  add(registry, "near-cold", holding(false), 1);
  add(registry, "far-loaded", holding(true), 150);
  for (uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ("far-loaded", pick(registry, {}, 0, seed).node);
}

TEST(Choose, PrefersTheNearerOfTwoLoaded) {
  Registry registry;
  add(registry, "near", holding(true), 5);
  add(registry, "far", holding(true), 150);
  EXPECT_EQ("near", pick(registry).node);
}

TEST(Choose, PrefersTheFartherWhereTheNearerIsBusy) {
  Registry registry;
  NodeState busy = holding(true);
  busy.models[kModel].queued = 20;
  add(registry, "near", busy, 5);
  add(registry, "far", holding(true), 150);
  EXPECT_EQ("far", pick(registry).node);
}

TEST(Choose, CountsItsOwnRequestsBeforeTheNextHeartbeat) {
  Registry registry;
  NodeState one_slot = holding(true);
  one_slot.models[kModel].slots = 1;
  registry.add("a", false, one_slot, 0);
  registry.add("b", false, one_slot, 0);
  for (int i = 0; i < 3; ++i) registry.started("a", kModel, 0, 200, 0);
  for (uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ("b", pick(registry, {}, 0, seed).node);
}

TEST(Choose, AvoidsANodeThatFailedUntilItIsHeardAgain) {
  Registry registry;
  add(registry, "near", holding(true));
  add(registry, "far", holding(true), 150);
  const Error gone{Code::WorkerGone, ""};
  registry.ended(registry.started("near", kModel, 0, 200, 0), &gone, 0);
  EXPECT_EQ("far", pick(registry).node);
  registry.heartbeat("near", holding(true), 1);
  EXPECT_EQ("near", pick(registry).node);
}

TEST(Choose, SpreadsEqualNodesBySeed) {
  Registry registry;
  for (const char* name : {"a", "b", "c", "d"}) add(registry, name, holding(true));
  std::map<std::string, int> counts;
  for (uint64_t seed = 0; seed < 4000; ++seed) ++counts[pick(registry, {}, 0, seed).node];
  for (const auto& [name, count] : counts) EXPECT_NEAR(1000, count, 150) << name;
  EXPECT_EQ(4u, counts.size());
}

TEST(Choose, NeverReturnsWhatC1Excludes) {
  Registry registry;
  add(registry, "draining", holding(true));
  registry.set_draining("draining", true);
  NodeState leaving = holding(true);
  leaving.draining = true;
  registry.add("leaving", false, leaving, 0);
  add(registry, "tried", holding(true));
  registry.add("no-model", false, NodeState{}, 0);
  NodeState full = holding(false);
  full.memory_free_bytes = 99;
  registry.add("full", false, full, 0);
  Need need = need_of();
  need.memory_bytes = 100;
  const Choice none = choose(registry, need, {"tried"}, 0, 1);
  EXPECT_FALSE(none);
  EXPECT_NE(std::string::npos, none.why.find("1 without the model, 1 without memory for it, 2 draining or failing, 1 tried")) << none.why;
  EXPECT_EQ("tried", choose(registry, need, {}, 0, 1).node);
  // A loaded model needs no more memory.
  full.models[kModel].loaded = true;
  registry.heartbeat("full", full, 0);
  EXPECT_EQ("full", choose(registry, need, {"tried"}, 0, 1).node);
  EXPECT_EQ("no node is known", choose(Registry(), need, {}, 0, 1).why);
}

TEST(Choose, DeadNodesAreLeftOutButLocalOnesNeverDie) {
  Registry registry;
  add(registry, "remote", holding(true));
  EXPECT_TRUE(pick(registry, {}, limits::kNodeDeadMs));
  EXPECT_FALSE(pick(registry, {}, limits::kNodeDeadMs + 1));
  registry.heartbeat("remote", holding(true), limits::kNodeDeadMs + 1);
  EXPECT_TRUE(pick(registry, {}, limits::kNodeDeadMs + 1));
  NodeState any;
  any.any_model = true;
  registry.add("local", true, any, 0);
  EXPECT_EQ("local", pick(registry, {"remote"}, 1'000'000'000).node);
}

TEST(Choose, AffinityKeepsASessionOnOneNodeAndMovesOnlyWhenItMust) {
  Registry registry;
  for (const char* name : {"a", "b", "c", "d"}) add(registry, name, holding(true));
  std::map<std::string, std::string> homes;
  for (int session = 0; session < 200; ++session) {
    const Need need = need_of("session-" + std::to_string(session));
    homes[need.affinity] = choose(registry, need, {}, 0, 1).node;
    for (uint64_t seed = 0; seed < 5; ++seed) EXPECT_EQ(homes[need.affinity], choose(registry, need, {}, 0, seed).node);
  }
  registry.remove("b");
  for (const auto& [session, home] : homes) {
    if (home == "b") continue;
    EXPECT_EQ(home, choose(registry, need_of(session), {}, 0, 1).node) << session;
  }
  // Not at any price.
  NodeState busy = holding(true);
  busy.models[kModel].queued = 50;
  registry.heartbeat("a", busy, 0);
  for (const auto& [session, home] : homes) EXPECT_NE("a", choose(registry, need_of(session), {}, 0, 1).node);
}

// C1 and C2 over random worlds.
TEST(Choose, HoldsItsInvariantsForAnySeed) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Random random(seed);
    Registry registry;
    Tried tried;
    const Instant now = 10'000;
    bool any_eligible = false;
    Need need = need_of(random.chance(0.5) ? "s" : "", random.chance(0.5) ? 100 : 0);
    need.memory_bytes = static_cast<int64_t>(random.below(200));
    for (uint64_t n = random.below(8); n > 0; --n) {
      const std::string name = "n" + std::to_string(n);
      NodeState state;
      if (random.chance(0.7)) {
        ModelState& model = state.models[kModel];
        model.loaded = random.chance(0.5);
        model.queued = static_cast<int>(random.below(20));
        model.running = static_cast<int>(random.below(20));
        model.prefill_tokens_per_s = random.chance(0.5) ? 1000 : 0;
      }
      state.memory_free_bytes = static_cast<int64_t>(random.below(200));
      state.draining = random.chance(0.2);
      const double rtt_ms = random.unit() * 200;
      const bool late = random.chance(0.2);
      const bool was_tried = random.chance(0.2);
      if (was_tried) tried.insert(name);
      const auto held = state.models.find(kModel);
      any_eligible |= !state.draining && !late && !was_tried && held != state.models.end() && (held->second.loaded || state.memory_free_bytes >= need.memory_bytes);
      registry.add(name, false, state, late ? 0 : now);
      if (random.chance(0.7)) registry.rtt(name, rtt_ms);
    }
    const Choice choice = choose(registry, need, tried, now, seed);
    EXPECT_EQ(any_eligible, static_cast<bool>(choice)) << seed;
    EXPECT_EQ(choice.node, choose(registry, need, tried, now, seed).node);
    if (!choice) continue;
    const Node* node = registry.find(choice.node);
    ASSERT_NE(nullptr, node);
    EXPECT_FALSE(node->state.draining || tried.count(choice.node) || registry.health(*node, now) != Health::Well || registry.ejected(*node, now));
  }
}

}  // namespace
}  // namespace verge::router
