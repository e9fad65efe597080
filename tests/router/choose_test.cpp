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

// Promises: C1.
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
  full.models[kModel].bytes = 100;
  registry.add("full", false, full, 0);
  const Need need = need_of();
  const Choice none = choose(registry, need, {"tried", "full"}, 0, 1);
  EXPECT_FALSE(none);
  EXPECT_NE(std::string::npos, none.why.find("1 without the model, 2 draining or failing, 2 tried")) << none.why;
  // Without memory only where there is no other, however suspect that is.
  registry.set_suspect("tried", kModel, true);
  EXPECT_EQ("tried", choose(registry, need, {}, 0, 1).node);
  EXPECT_EQ("full", choose(registry, need, {"tried"}, 0, 1).node);
  // What nobody uses gives way; and a loaded model needs no more memory.
  full.models["idle"].loaded = true;
  full.models["idle"].bytes = 1;
  registry.heartbeat("full", full, 0);
  EXPECT_EQ("full", choose(registry, need, {}, 0, 1).node);
  full.models.erase("idle");
  full.models[kModel].loaded = true;
  registry.heartbeat("full", full, 0);
  EXPECT_EQ("full", choose(registry, need, {}, 0, 1).node);
  registry.set_suspect("tried", kModel, false);
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

NodeState reading(double tokens_per_s, int64_t queued_tokens = 0, int queued = 0) {
  NodeState state = holding(true);
  ModelState& model = state.models[kModel];
  model.prefill_tokens_per_s = tokens_per_s;
  model.queued_tokens = queued_tokens;
  model.queued = queued;
  model.first_token_ms = 20;
  return state;
}

TEST(Choose, CountsTokensNotRequests) {
  Registry registry;
  add(registry, "few-long", reading(1000, 4000, 1), 5);
  add(registry, "many-short", reading(1000, 400, 8), 5);
  EXPECT_EQ("many-short", pick(registry).node);
}

TEST(Choose, ALongPromptGoesToTheFasterReaderAShortOneToTheNearer) {
  Registry registry;
  add(registry, "near-slow", reading(1000), 5);
  add(registry, "far-fast", reading(10'000), 45);
  EXPECT_EQ("near-slow", choose(registry, need_of("", 10), {}, 0, 1).node);
  EXPECT_EQ("far-fast", choose(registry, need_of("", 2000), {}, 0, 1).node);
}

TEST(Choose, FollowsTheCachedPrefixButNotOverHealthNorAtAnyPrice) {
  Registry registry;
  for (const char* name : {"a", "b", "c"}) add(registry, name, reading(1000), 5);
  Need need = need_of("", 1500);
  need.prefix = prefix_key(kModel, "You are a pirate.");
  registry.cached(need.prefix, "b", 1200);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Choice choice = choose(registry, need, {}, 0, seed);
    EXPECT_EQ("b", choice.node);
    EXPECT_EQ(1200, choice.cached_tokens);
  }
  registry.heartbeat("b", reading(1000, 5000, 10), 1);
  EXPECT_NE("b", choose(registry, need, {}, 1, 1).node);
  registry.heartbeat("b", reading(1000), 2);
  registry.set_draining("b", true);
  EXPECT_NE("b", choose(registry, need, {}, 2, 1).node);
}

// Promises: C1.
TEST(Choose, ASuspectNodeIsTheLastResort) {
  Registry registry;
  add(registry, "silent", holding(true), 1);
  const Instant now = limits::kNodeSuspectMs + 1;
  registry.heartbeat("far-cold", holding(false), now);
  registry.rtt("far-cold", 200);
  EXPECT_EQ("far-cold", pick(registry, {}, now).node);
  EXPECT_EQ("silent", pick(registry, {"far-cold"}, now).node);
}

TEST(Choose, StaysWithTheRightFiles) {
  Registry registry;
  NodeState us = holding(true), eu = holding(true);
  us.region = "us", eu.region = "eu";
  us.models[kModel].build = "new", eu.models[kModel].build = "old";
  add(registry, "us", us, 1);
  add(registry, "eu", eu, 100);
  Need need = need_of();
  need.digest = "old";
  EXPECT_EQ("eu", choose(registry, need, {}, 0, 1).node);
  const Choice none = choose(registry, need, {"eu"}, 0, 1);
  EXPECT_FALSE(none);
  EXPECT_FALSE(none.full);
}

// Promises: C3.
TEST(Choose, SaysWhereRoomIsAllThatIsLacking) {
  Registry registry;
  NodeState packed = holding(true);
  ModelState& model = packed.models[kModel];
  model.slots = 2, model.running = 2, model.wait_slots = 3, model.queued = 3;
  add(registry, "a", packed);
  const Choice none = pick(registry);
  EXPECT_FALSE(none);
  EXPECT_TRUE(none.full);
  model.queued = 2;
  registry.heartbeat("a", packed, 0);
  EXPECT_TRUE(pick(registry));
  Need now_or_never = need_of();
  now_or_never.no_wait = true;
  EXPECT_FALSE(choose(registry, now_or_never, {}, 0, 1)) << "it would wait there";
  model.queued = 0, model.running = 1;
  registry.heartbeat("a", packed, 0);
  EXPECT_TRUE(choose(registry, now_or_never, {}, 0, 1));
  // Busy is believed until it is heard again.
  const Error busy{Code::Busy, ""};
  registry.ended(registry.started("a", kModel, 1, 1, 10), &busy, 10);
  EXPECT_TRUE(pick(registry, {}, 11).full);
  registry.heartbeat("a", packed, 12);
  EXPECT_TRUE(pick(registry, {}, 12));
}

// It claims to be idle and fast, and answers after two seconds. Requests come twenty a second.
TEST(Choose, ANodeThatLiesAboutItsQueueGetsAFewRequestsNotTheTraffic) {
  Registry registry;
  const NodeState honest = reading(1000, 0, 0);
  NodeState liar = reading(1e6, 0, 0);
  liar.models[kModel].first_token_ms = 1;
  struct Under {
    Instant due;
    uint64_t flight;
  };
  std::vector<Under> under_way;
  std::map<std::string, int> served;
  for (const char* name : {"a", "b", "c", "d"}) add(registry, name, honest, 5);
  add(registry, "liar", liar, 1);
  for (Instant now = 0; now < 60'000; now += 50) {
    if (now % 1000 == 0) {
      for (const char* name : {"a", "b", "c", "d"}) registry.heartbeat(name, honest, now);
      registry.heartbeat("liar", liar, now);
    }
    std::erase_if(under_way, [&](const Under& u) {
      if (u.due > now) return false;
      registry.first_token(u.flight, now);
      registry.ended(u.flight, nullptr, now);
      return true;
    });
    const Choice choice = choose(registry, need_of("", 100), {}, now, static_cast<uint64_t>(now));
    ++served[choice.node];
    under_way.push_back({now + (choice.node == "liar" ? 2000 : 125), registry.started(choice.node, kModel, 100, choice.estimate_ms, now)});
  }
  EXPECT_LT(served["liar"], 1200 / 10) << "of 1,200";
  EXPECT_GT(served["liar"], 0) << "it may have mended its ways";
}

TEST(Choose, BurstsDoNotHerd) {
  Registry registry;
  for (int i = 0; i < 8; ++i) add(registry, "n" + std::to_string(i), reading(5000), 5);
  std::map<std::string, int> sent;
  for (uint64_t seed = 0; seed < 80; ++seed) {
    const Choice choice = choose(registry, need_of("", 500), {}, 1, seed);
    registry.started(choice.node, kModel, 500, choice.estimate_ms, 1);
    ++sent[choice.node];
  }
  for (const auto& [name, count] : sent) EXPECT_NEAR(10, count, 2) << name;
  EXPECT_EQ(8u, sent.size());
}

// One that has measured nothing is not the faster for it.
TEST(Choose, ANodeThatHasMeasuredNothingIsTakenForAsFastAsTheOthers) {
  Registry registry;
  NodeState near = holding(true), far = holding(true);
  near.models[kModel].first_token_ms = 1500;
  far.models[kModel].first_token_ms = -1;
  add(registry, "near", near, 1);
  add(registry, "far", far, 80);
  EXPECT_EQ("near", choose(registry, need_of(), {}, 0, 1).node);
}

// C1 and C2 over random worlds.
// Promises: C1, C2, C3.
TEST(Choose, HoldsItsInvariantsForAnySeed) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Random random(seed);
    Registry registry;
    Tried tried;
    const Instant now = 10'000;
    bool any_eligible = false;
    Need need = need_of(random.chance(0.5) ? "s" : "", random.chance(0.5) ? 100 : 0);
    for (uint64_t n = random.below(8); n > 0; --n) {
      const std::string name = "n" + std::to_string(n);
      NodeState state;
      if (random.chance(0.7)) {
        ModelState& model = state.models[kModel];
        model.loaded = random.chance(0.5);
        model.queued = static_cast<int>(random.below(20));
        model.running = static_cast<int>(random.below(20));
        model.prefill_tokens_per_s = random.chance(0.5) ? 1000 : 0;
        model.bytes = static_cast<int64_t>(random.below(200));
      }
      state.memory_free_bytes = static_cast<int64_t>(random.below(200));
      state.draining = random.chance(0.2);
      const double rtt_ms = random.unit() * 200;
      const bool late = random.chance(0.2);
      const bool was_tried = random.chance(0.2);
      if (was_tried) tried.insert(name);
      const auto held = state.models.find(kModel);
      any_eligible |= !state.draining && !late && !was_tried && held != state.models.end();
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

TEST(Choose, AModelThatDoesNotGetOnIsChosenOnlyWhereThereIsNoOther) {
  Registry registry;
  NodeState hangs = holding(true);
  hangs.models[kModel].suspect = true;
  add(registry, "near-hangs", hangs, 1);
  add(registry, "far-cold", holding(false), 150);
  EXPECT_EQ("far-cold", pick(registry).node);
  EXPECT_EQ("near-hangs", pick(registry, {"far-cold"}).node);
}

TEST(Choose, ALocalModelThatDoesNotGetOnIsChosenOnlyWhereThereIsNoOther) {
  Registry registry;
  NodeState local;
  local.any_model = true;
  registry.add("here", true, local, 0);
  add(registry, "there", holding(true), 150);
  EXPECT_EQ("here", pick(registry).node);
  registry.set_suspect("here", kModel, true);
  EXPECT_EQ("there", pick(registry).node);
  EXPECT_EQ("here", pick(registry, {"there"}).node);
  registry.set_suspect("here", kModel, false);
  EXPECT_EQ("here", pick(registry).node);
}

}  // namespace
}  // namespace verge::router
