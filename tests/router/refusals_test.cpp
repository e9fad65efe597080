#include "router/refusals.h"

#include <gtest/gtest.h>

#include "router/registry.h"

namespace verge::router {
namespace {

Error long_wait() { return {Code::Busy, "would wait", 0, 0, 5000}; }

TEST(Refusals, AreRememberedForAMomentForTheSameTenantAndModel) {
  Refusals refusals;
  refusals.remember("m", "flood", long_wait(), 1000);
  ASSERT_TRUE(refusals.recall("m", "flood", 1000 + limits::kRefusedMs - 1));
  EXPECT_EQ(refusals.recall("m", "flood", 1000)->retry_after_ms, 5000);
  EXPECT_FALSE(refusals.recall("m", "light", 1000));
  EXPECT_FALSE(refusals.recall("other", "flood", 1000));
  EXPECT_FALSE(refusals.recall("m", "flood", 1000 + limits::kRefusedMs));
}

TEST(Refusals, StayBounded) {
  Refusals refusals;
  for (int i = 0; i < 5000; ++i) refusals.remember("m", std::to_string(i), long_wait(), 0);
  refusals.remember("m", "late", long_wait(), 10'000);
  EXPECT_TRUE(refusals.recall("m", "late", 10'000));
}

// Who was refused for its wait does not wait once more at the router, where it would be asked for again and again.
TEST(Attempts, ARefusalForTheWaitIsFinalWhereThereIsNoOtherNode) {
  RetryBudget budget;
  Attempts attempts(0, 1);
  const Failed failed{"a", true, long_wait()};
  EXPECT_TRUE(std::holds_alternative<GiveUp>(attempts.failed(failed, false, budget, 0)));
  Attempts elsewhere(0, 1);
  EXPECT_TRUE(std::holds_alternative<Retry>(elsewhere.failed(failed, true, budget, 0)));
  Attempts full(0, 1);
  EXPECT_TRUE(std::holds_alternative<WaitForRoom>(full.failed({"a", true, Error{Code::Busy, "full", 0, 0, 1000}}, false, budget, 0)));
}

// It speaks of one tenant: others are let through.
TEST(Registry, ARefusalForTheWaitDoesNotMakeANodeFull) {
  Registry registry;
  NodeState state;
  state.any_model = true;
  registry.add("a", true, state, 0);
  Need need;
  need.model = "m";
  const Error wait = long_wait(), full{Code::Busy, "full", 0, 0, 1000};
  registry.ended(registry.started("a", "m", 10, 5, 0), &wait, 10);
  EXPECT_TRUE(choose(registry, need, {}, 20, 1));
  registry.ended(registry.started("a", "m", 10, 5, 0), &full, 30);
  EXPECT_FALSE(choose(registry, need, {}, 40, 1));
}

}  // namespace
}  // namespace verge::router
