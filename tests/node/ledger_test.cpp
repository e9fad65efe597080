#include "node/ledger.h"

#include <gtest/gtest.h>

#include <random>

namespace verge::node {
namespace {

using Kind = Ledger::Plan::Kind;

TEST(Ledger, FitsThenEvictsTheLeastRecentlyUsedIdleModel) {
  Ledger ledger(100);
  ASSERT_TRUE(ledger.reserve("a", 40, false, 0));
  ASSERT_TRUE(ledger.reserve("b", 40, false, 0));
  ledger.touch("a", 0, 50);
  auto plan = ledger.plan("c", 40, kMinimumResidenceMs + 60);
  ASSERT_EQ(plan.kind, Kind::EvictFirst);
  EXPECT_EQ(plan.evict, std::vector<std::string>{"b"});
}

// Promises: L2.
TEST(L2_Eviction, BusyPinnedAndYoungModelsStay) {
  Ledger ledger(100);
  ASSERT_TRUE(ledger.reserve("pinned", 30, true, 0));
  ASSERT_TRUE(ledger.reserve("busy", 30, false, 0));
  ASSERT_TRUE(ledger.reserve("young", 30, false, 95'000));
  ledger.touch("busy", 2, 90'000);
  auto plan = ledger.plan("c", 40, 100'000);
  EXPECT_EQ(plan.kind, Kind::WaitFor);
  EXPECT_EQ(plan.wait_ms, kMinimumResidenceMs - 5'000);
  plan = ledger.plan("c", 40, 95'000 + kMinimumResidenceMs);
  ASSERT_EQ(plan.kind, Kind::EvictFirst);
  EXPECT_EQ(plan.evict, std::vector<std::string>{"young"});
  EXPECT_EQ(ledger.plan("c", 80, 100'000).kind, Kind::Never);
  EXPECT_EQ(ledger.plan("c", 101, 100'000).kind, Kind::Never);
}

// Promises: L1.
TEST(L1_Budget, HoldsOverAHundredThousandRandomSteps) {
  std::mt19937 random(7);
  Ledger ledger(1000);
  int64_t now = 0;
  for (int step = 0; step < 100'000; ++step) {
    now += random() % 500;
    const std::string name = "m" + std::to_string(random() % 12);
    const uint64_t bytes = random() % 600;
    switch (random() % 4) {
      case 0: {
        auto plan = ledger.plan(name, bytes, now);
        for (const auto& victim : plan.evict) ledger.release(victim);
        if (plan.kind == Kind::Fits || plan.kind == Kind::EvictFirst) {
          ASSERT_TRUE(ledger.reserve(name, bytes, random() % 20 == 0, now));
        }
        break;
      }
      case 1: ledger.release(name); break;
      case 2: ledger.touch(name, static_cast<int>(random() % 3), now); break;
      case 3: {
        // What a model holds is held; until those that can go have gone, nobody else gets anything.
        const auto plan = ledger.adjust(name, bytes, now);
        EXPECT_EQ(ledger.over(), plan.kind != Kind::Fits && ledger.reserved() > ledger.budget());
        if (ledger.over()) {
          EXPECT_FALSE(ledger.reserve("new", 1, false, now));
        }
        for (const auto& victim : plan.evict) {
          EXPECT_NE(victim, name);
          ledger.release(victim);
        }
        if (plan.kind != Kind::Fits && plan.kind != Kind::EvictFirst) ledger.release(name);
        break;
      }
    }
    ASSERT_LE(ledger.reserved(), ledger.budget());
  }
}

TEST(Ledger, WhatALoadedModelHoldsCounts) {
  Ledger ledger(1000);
  ASSERT_TRUE(ledger.reserve("a", 400, false, 0) && ledger.reserve("b", 400, false, 0));
  EXPECT_EQ(ledger.adjust("a", 600, kMinimumResidenceMs).kind, Kind::Fits);
  EXPECT_FALSE(ledger.over());
  const auto plan = ledger.adjust("a", 700, kMinimumResidenceMs);
  EXPECT_EQ(plan.kind, Kind::EvictFirst);
  EXPECT_EQ(plan.evict, std::vector<std::string>{"b"});
  EXPECT_EQ(ledger.reserved(), 1100u);
  ledger.touch("b", 1, kMinimumResidenceMs);
  EXPECT_EQ(ledger.adjust("a", 700, kMinimumResidenceMs).kind, Kind::WaitFor) << "a busy one stays";
  EXPECT_EQ(ledger.adjust("a", 1001, kMinimumResidenceMs).kind, Kind::Never) << "it has to go itself";
  ledger.release("a");
  EXPECT_EQ(ledger.reserved(), 400u);
}

}  // namespace
}  // namespace verge::node
