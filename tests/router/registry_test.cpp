#include "router/registry.h"

#include <gtest/gtest.h>

#include "support/limits.h"

namespace verge::router {
namespace {

const Error kGone{Code::WorkerGone, "x"};

void fail_times(Registry& registry, const std::string& name, int times, Instant now, const Error& error = kGone) {
  for (int i = 0; i < times; ++i) {
    registry.ended(registry.started(name, "m", 10, 100, now), &error, now);
  }
}
Registry with_nodes(int count, bool local = false) {
  Registry registry;
  for (int i = 0; i < count; ++i) registry.add("n" + std::to_string(i), local, NodeState{}, 0);
  return registry;
}

// Promises: RG3.
TEST(Registry, EjectsAfterFailuresInARowAndLongerEachTime) {
  Registry registry = with_nodes(4);
  fail_times(registry, "n0", limits::kEjectFailures - 1, 0);
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), 0));
  fail_times(registry, "n0", 1, 0);
  EXPECT_TRUE(registry.ejected(*registry.find("n0"), limits::kEjectMs - 1));
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), limits::kEjectMs));
  Instant now = limits::kEjectMs;
  for (int i = 0; i < 4; ++i) registry.heartbeat("n" + std::to_string(i), NodeState{}, now);
  fail_times(registry, "n0", limits::kEjectFailures, now);
  EXPECT_EQ(now + 2 * limits::kEjectMs, registry.find("n0")->ejected_until);
}

TEST(Registry, ASuccessStartsTheCountAnew) {
  Registry registry = with_nodes(4);
  for (int i = 0; i < 10; ++i) {
    fail_times(registry, "n0", limits::kEjectFailures - 1, 0);
    registry.ended(registry.started("n0", "m", 10, 100, 0), nullptr, 0);
  }
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), 0));
}

TEST(Registry, RequestsThatAreWrongOrRefusedNeverEject) {
  Registry registry = with_nodes(4);
  for (Code code : {Code::InvalidInput, Code::ContextOverflow, Code::Busy, Code::Timeout, Code::Aborted, Code::NoSuchModel}) fail_times(registry, "n0", 100, 0, Error{code, ""});
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), 0));
}

// Promises: RG3.
TEST(Registry, NeverEjectsMoreThanHalfNorTheLastNorALocalOne) {
  Registry registry = with_nodes(4);
  for (int i = 0; i < 4; ++i) fail_times(registry, "n" + std::to_string(i), 50, 0);
  int ejected = 0;
  for (const auto& [name, node] : registry.nodes()) ejected += registry.ejected(node, 1);
  EXPECT_EQ(2, ejected);
  Registry alone = with_nodes(1);
  fail_times(alone, "n0", 50, 0);
  EXPECT_FALSE(alone.ejected(*alone.find("n0"), 1));
  Registry local = with_nodes(3, true);
  fail_times(local, "n0", 50, 0);
  EXPECT_FALSE(local.ejected(*local.find("n0"), 1));
}

TEST(Registry, CountsWhatIsUnderWay) {
  Registry registry = with_nodes(1);
  std::vector<uint64_t> flights;
  for (int i = 0; i < 2048; ++i) flights.push_back(registry.started("n0", "m", 10, 100, 0));
  const Seen& seen = registry.find("n0")->seen.at("m");
  EXPECT_EQ(2048, seen.under_way);
  EXPECT_EQ(2048u, seen.waiting.size());
  for (uint64_t flight : flights) registry.first_token(flight, 100);
  EXPECT_TRUE(seen.waiting.empty());
  for (int twice = 0; twice < 2; ++twice)
    for (uint64_t flight : flights) registry.ended(flight, nullptr, 0);
  EXPECT_EQ(0, seen.under_way);
  registry.ended(registry.started("unknown", "m", 10, 100, 0), &kGone, 0);
  EXPECT_EQ(1u, registry.nodes().size());
}

TEST(Registry, AnEndedRequestOfAnEarlierNodeOfThatNameCountsNowhere) {
  Registry registry = with_nodes(1);
  const uint64_t old = registry.started("n0", "m", 10, 100, 0);
  registry.remove("n0");
  registry.add("n0", false, NodeState{}, 0);
  registry.started("n0", "m", 10, 100, 0);
  registry.ended(old, &kGone, 0);
  EXPECT_EQ(1, registry.find("n0")->seen.at("m").under_way);
  EXPECT_EQ(0, registry.find("n0")->failures);
}

TEST(Registry, ForgetsSilentNodesOnceTheyAreIdle) {
  Registry registry = with_nodes(2);
  registry.add("local", true, NodeState{}, 0);
  const uint64_t flight = registry.started("n1", "m", 10, 100, 0);
  EXPECT_EQ(0, registry.forget(limits::kNodeForgottenMs));
  EXPECT_EQ(1, registry.forget(limits::kNodeForgottenMs + 1));
  EXPECT_EQ(nullptr, registry.find("n0"));
  registry.ended(flight, nullptr, 0);
  EXPECT_EQ(1, registry.forget(limits::kNodeForgottenMs + 1));
  EXPECT_NE(nullptr, registry.find("local"));
}

TEST(Registry, LearnsHowLateFirstTokensCome) {
  Registry registry = with_nodes(1);
  const auto serve = [&](Instant after) { registry.first_token(registry.started("n0", "m", 10, 100, 0), after); };
  for (int i = 0; i < 50; ++i) serve(1100);
  EXPECT_NEAR(1000, registry.find("n0")->seen.at("m").late_ms, 1);
  for (int i = 0; i < 50; ++i) serve(100);
  EXPECT_NEAR(0, registry.find("n0")->seen.at("m").late_ms, 1);
}

NodeState beat(uint64_t boot, uint64_t sequence, int64_t memory = 0) {
  NodeState state;
  state.boot = boot, state.sequence = sequence, state.memory_free_bytes = memory;
  return state;
}

// Promises: RG1.
TEST(Registry, HeartbeatsThatComeLateOrTwiceChangeNothing) {
  Registry registry;
  EXPECT_TRUE(registry.heartbeat("a", beat(5, 10, 1), 0));
  EXPECT_FALSE(registry.heartbeat("a", beat(5, 10, 2), 1000)) << "twice";
  EXPECT_FALSE(registry.heartbeat("a", beat(5, 9, 2), 1000)) << "reordered";
  EXPECT_FALSE(registry.heartbeat("a", beat(4, 99, 2), 1000)) << "of the boot before";
  EXPECT_EQ(1, registry.find("a")->state.memory_free_bytes);
  EXPECT_EQ(0, registry.find("a")->heard_at) << "nor do they prove that it lives";
  EXPECT_TRUE(registry.heartbeat("a", beat(5, 11, 3), 1000));
  EXPECT_TRUE(registry.heartbeat("a", beat(6, 0, 4), 1000));
  EXPECT_EQ(4, registry.find("a")->state.memory_free_bytes);
}

TEST(Registry, ANewBootStartsWithACleanRecord) {
  Registry registry = with_nodes(4);
  registry.heartbeat("n0", beat(1, 0), 0);
  fail_times(registry, "n0", limits::kEjectFailures, 0);
  EXPECT_TRUE(registry.ejected(*registry.find("n0"), 1));
  registry.heartbeat("n0", beat(1, 1), 1);
  EXPECT_TRUE(registry.ejected(*registry.find("n0"), 1));
  registry.heartbeat("n0", beat(2, 0), 1);
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), 1));
}

TEST(Registry, KnowsWhichRequestsAreStranded) {
  Registry registry;
  registry.heartbeat("a", beat(1, 1), 0);
  const uint64_t flight = registry.started("a", "m", 10, 100, 0);
  const uint64_t begun = registry.started("a", "m", 10, 100, 0);
  registry.first_token(begun, 100);
  EXPECT_FALSE(registry.stranded(flight, limits::kNodeSuspectMs));
  EXPECT_TRUE(registry.stranded(flight, limits::kNodeSuspectMs + 1)) << "it may as well wait elsewhere";
  EXPECT_FALSE(registry.stranded(begun, limits::kNodeDeadMs));
  EXPECT_TRUE(registry.stranded(begun, limits::kNodeDeadMs + 1)) << "silent too long";
  registry.heartbeat("a", beat(1, 2), 3000);
  EXPECT_FALSE(registry.stranded(flight, limits::kNodeSuspectMs + 1));
  registry.heartbeat("a", beat(2, 1), 4000);
  EXPECT_TRUE(registry.stranded(flight, 4000)) << "it has started anew";
  const uint64_t later = registry.started("a", "m", 10, 100, 4000);
  EXPECT_FALSE(registry.stranded(later, 4000));
  registry.remove("a");
  EXPECT_TRUE(registry.stranded(later, 4000));
}

// Promises: RG2.
TEST(Registry, SilenceMakesSuspectThenDead) {
  Registry registry = with_nodes(1);
  registry.add("local", true, NodeState{}, 0);
  const Node& node = *registry.find("n0");
  EXPECT_EQ(Health::Well, registry.health(node, limits::kNodeSuspectMs));
  EXPECT_EQ(Health::Suspect, registry.health(node, limits::kNodeSuspectMs + 1));
  EXPECT_EQ(Health::Suspect, registry.health(node, limits::kNodeDeadMs));
  EXPECT_EQ(Health::Dead, registry.health(node, limits::kNodeDeadMs + 1));
  EXPECT_EQ(Health::Well, registry.health(*registry.find("local"), 1'000'000));
}

TEST(Registry, BelievesTheLoadThatAnswersBring) {
  Registry registry;
  NodeState state;
  state.models["m"].queued = 9;
  state.models["m"].queued_tokens = 9000;
  registry.heartbeat("a", state, 0);
  registry.load("a", "m", {1, 2, 300}, 500);
  const ModelState& model = registry.find("a")->state.models.at("m");
  EXPECT_EQ(1, model.queued);
  EXPECT_EQ(2, model.running);
  EXPECT_EQ(300, model.queued_tokens);
  EXPECT_LT(model.mean_queued_tokens, 9000);
  EXPECT_GT(model.mean_queued_tokens, 7000);
  registry.load("a", "unknown", {1, 2, 300}, 500);
  registry.load("unknown", "m", {1, 2, 300}, 500);
  EXPECT_EQ(1u, registry.nodes().size());
}

TEST(Registry, MeasuresTheWayNotTheWork) {
  Registry registry = with_nodes(1);
  const Node& node = *registry.find("n0");
  for (int i = 0; i < 30; ++i) registry.rtt("n0", i % 4 ? 400 : 80);  // three answers of four are slow
  EXPECT_NEAR(80, registry.rtt_ms(node), 5);
  for (int i = 0; i < 60; ++i) registry.rtt("n0", 200);  // the way itself grew
  EXPECT_NEAR(200, registry.rtt_ms(node), 5);
  for (double wrong : {-1.0, double(NAN), double(INFINITY)}) registry.rtt("n0", wrong);
  EXPECT_NEAR(200, registry.rtt_ms(node), 5);
}

TEST(Registry, GuessesTheWayToNodesNeverMeasured) {
  Registry registry;
  registry.set_place({"fra", 50.1, 8.7});
  const auto node = [&](const char* name, const char* region, double latitude = NAN, double longitude = NAN) -> const Node& {
    NodeState state;
    state.region = region, state.latitude = latitude, state.longitude = longitude;
    registry.add(name, false, state, 0);
    return *registry.find(name);
  };
  const double near = registry.rtt_ms(node("near", "fra"));
  const double paris = registry.rtt_ms(node("paris", "par", 48.9, 2.4));
  const double sydney = registry.rtt_ms(node("sydney", "syd", -33.9, 151.2));
  const double unknown = registry.rtt_ms(node("unknown", "xxx"));
  EXPECT_LT(near, paris);
  EXPECT_LT(paris, 30);
  EXPECT_LT(unknown, sydney);
  EXPECT_NEAR(265, sydney, 30);
  registry.rtt("sydney", 300);
  EXPECT_NEAR(300, registry.rtt_ms(node("sydney2", "syd", -33.9, 151.2)), 1) << "as its neighbours";
}

TEST(Registry, WhatNoMachineCanBeIsBroughtWithinBounds) {
  Registry registry;
  NodeState state;
  ModelState& model = state.models["m"];
  model.queued = -5, model.running = -5, model.queued_tokens = -100, model.prefill_tokens_per_s = NAN, model.slots = 0, model.first_token_ms = -7, model.load_ms = -1;
  registry.heartbeat("liar", state, 0);
  const ModelState& kept = registry.find("liar")->state.models.at("m");
  EXPECT_EQ(0, kept.queued + kept.running + kept.queued_tokens + kept.load_ms);
  EXPECT_EQ(-1, kept.first_token_ms) << "not known";
  EXPECT_EQ(0, kept.prefill_tokens_per_s);
  EXPECT_EQ(1, kept.slots);
}

TEST(Registry, HintsAreBounded) {
  Registry registry;
  for (uint64_t i = 1; i <= 100'000; ++i) registry.cached(i, "a", 5);
  EXPECT_EQ(nullptr, registry.hint(1));
  ASSERT_NE(nullptr, registry.hint(100'000));
  size_t kept = 0;
  for (uint64_t i = 1; i <= 100'000; ++i) kept += registry.hint(i) != nullptr;
  EXPECT_LE(kept, 2 * limits::kPrefixHints);
  EXPECT_GE(kept, limits::kPrefixHints);
}

}  // namespace
}  // namespace verge::router
