#include "router/attempts.h"

#include <gtest/gtest.h>

#include "support/limits.h"

namespace verge::router {
namespace {

Failed failed_at(const std::string& node, Code code, bool local = false, bool accepted = false, bool progress = false) {
  return {node, local, Error{code, "why"}, accepted, progress};
}
const Retry* retry_of(const Decision& decision) { return std::get_if<Retry>(&decision); }

TEST(Attempts, RetriesElsewhereAtOnce) {
  Attempts attempts(0, 1);
  RetryBudget budget;
  const Decision decision = attempts.failed(failed_at("a", Code::WorkerGone), true, budget, 1000);
  ASSERT_TRUE(retry_of(decision));
  EXPECT_EQ(1000, retry_of(decision)->at);
  EXPECT_FALSE(retry_of(decision)->same_node);
  EXPECT_TRUE(attempts.tried().count("a"));
}

TEST(Attempts, GivesTheOnlyNodeTimeToRestartItsWorker) {
  Attempts attempts(0, 1);
  RetryBudget budget;
  const Decision first = attempts.failed(failed_at("a", Code::WorkerGone, true), false, budget, 1000);
  ASSERT_TRUE(retry_of(first));
  EXPECT_TRUE(retry_of(first)->same_node);
  EXPECT_GE(retry_of(first)->at, 1000 + limits::kRetrySameMs / 2);
  const Decision second = attempts.failed(failed_at("a", Code::WorkerGone, true), false, budget, 2000);
  ASSERT_TRUE(retry_of(second));
  EXPECT_GT(retry_of(second)->at - 2000, retry_of(first)->at - 1000) << "longer each time";
}

// Promises: A1.
TEST(Attempts, NeverRetriesWhatWouldFailAgain) {
  for (Code code : {Code::InvalidInput, Code::UnsupportedParameter, Code::NoSuchModel, Code::ModelUnavailable, Code::ContextOverflow, Code::TooLarge, Code::Unauthenticated,
                    Code::Forbidden, Code::NotFound, Code::MethodNotAllowed, Code::QuotaUsed, Code::Timeout, Code::Aborted, Code::LoadFailed, Code::Io, Code::Internal}) {
    Attempts attempts(0, 1);
    RetryBudget budget;
    const Decision decision = attempts.failed(failed_at("a", code), true, budget, 0);
    ASSERT_FALSE(retry_of(decision)) << to_string(code);
    EXPECT_EQ(code, std::get<GiveUp>(decision).error.code);
  }
}

// Promises: A1.
TEST(Attempts, ABusyNodeIsLeftForAnotherOnly) {
  RetryBudget budget;
  EXPECT_TRUE(retry_of(Attempts(0, 1).failed(failed_at("a", Code::Busy), true, budget, 0)));
  EXPECT_FALSE(retry_of(Attempts(0, 1).failed(failed_at("a", Code::Busy), false, budget, 0)));
}

// Promises: A2.
TEST(Attempts, StopsAfterThreeWithoutProgress) {
  Attempts attempts(0, 1);
  RetryBudget budget;
  EXPECT_TRUE(retry_of(attempts.failed(failed_at("a", Code::WorkerGone, true, true), true, budget, 0)));
  EXPECT_TRUE(retry_of(attempts.failed(failed_at("b", Code::WorkerGone, true, true), true, budget, 0)));
  EXPECT_FALSE(retry_of(attempts.failed(failed_at("c", Code::WorkerGone, true, true), true, budget, 0)));
}

TEST(Attempts, ARequestThatOnlyWaitedWhereAWorkerDiedIsNoSuspect) {
  Attempts attempts(0, 1);
  RetryBudget budget;
  int retries = 0;
  while (retry_of(attempts.failed(failed_at("a", Code::WorkerGone, true, false), false, budget, 0))) ++retries;
  EXPECT_EQ(limits::kAttemptsInAll - 1, retries);
}

// Promises: A2.
TEST(Attempts, ProgressEarnsMoreButNotForever) {
  Attempts attempts(0, 1);
  RetryBudget budget;
  int retries = 0;
  while (retry_of(attempts.failed(failed_at("a", Code::WorkerGone, true, true, true), false, budget, 0))) ++retries;
  EXPECT_EQ(limits::kAttemptsInAll - 1, retries);
}

// Promises: A3.
TEST(Attempts, NothingStartsAtOrPastTheDeadline) {
  RetryBudget budget;
  EXPECT_FALSE(retry_of(Attempts(1000, 1).failed(failed_at("a", Code::WorkerGone, true), true, budget, 1000)));
  EXPECT_TRUE(retry_of(Attempts(1000, 1).failed(failed_at("a", Code::WorkerGone, true), true, budget, 999)));
  EXPECT_FALSE(retry_of(Attempts(1000, 1).failed(failed_at("a", Code::WorkerGone, true), false, budget, 990))) << "the wait would pass it";
}

// With all nodes failing, retries stay under a fifth of the requests under way.
// Promises: A4.
TEST(RetryBudget, HoldsForAStormOfFailures) {
  RetryBudget budget;
  for (int i = 0; i < 100; ++i) budget.request_started();
  int granted = 0;
  for (int i = 0; i < 100; ++i) {
    Attempts attempts(0, static_cast<uint64_t>(i));
    const Decision decision = attempts.failed(failed_at("a", Code::WorkerGone), true, budget, 0);
    if (retry_of(decision)) {
      EXPECT_TRUE(retry_of(decision)->costs_budget);
      ++granted;
    }
  }
  EXPECT_EQ(20, granted);
  EXPECT_EQ(20, budget.retries());
  budget.give_back();
  EXPECT_TRUE(budget.take(0));
  EXPECT_FALSE(budget.take(0));
}

TEST(RetryBudget, HasAFloorOfThree) {
  RetryBudget budget;
  budget.request_started();
  EXPECT_TRUE(budget.take(0) && budget.take(0) && budget.take(0));
  EXPECT_FALSE(budget.take(0));
}

TEST(RetryBudget, ANodesDeathIsFreeOnceAndLocalRestartsAlways) {
  RetryBudget budget;
  while (budget.take(0)) {
  }
  Attempts remote(0, 1);
  EXPECT_TRUE(retry_of(remote.failed(failed_at("a", Code::WorkerGone, false, true), true, budget, 0)));
  EXPECT_FALSE(retry_of(remote.failed(failed_at("b", Code::WorkerGone, false, true), true, budget, 0)));
  Attempts local(0, 1);
  EXPECT_TRUE(retry_of(local.failed(failed_at("a", Code::WorkerGone, true), false, budget, 0)));
  EXPECT_TRUE(retry_of(local.failed(failed_at("a", Code::WorkerGone, true), false, budget, 0)));
}

const WaitForRoom* wait_of(const Decision& decision) { return std::get_if<WaitForRoom>(&decision); }

TEST(Attempts, WaitsForRoomWhereAllAreBusyUnlessItMayNot) {
  RetryBudget budget;
  Attempts attempts(0, 1);
  const Decision all_busy = attempts.failed(failed_at("a", Code::Busy), false, budget, 0);
  ASSERT_TRUE(wait_of(all_busy));
  EXPECT_FALSE(wait_of(all_busy)->costs_budget);
  EXPECT_TRUE(std::holds_alternative<GiveUp>(Attempts(0, 1, false).failed(failed_at("a", Code::Busy), false, budget, 0)));
  EXPECT_TRUE(std::holds_alternative<GiveUp>(Attempts(1000, 1).failed(failed_at("a", Code::Busy), false, budget, 1000)));
  // However often: the waiting room bounds it.
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(wait_of(attempts.failed(failed_at("a", Code::Busy), false, budget, 0)));
}

TEST(Attempts, TriesThreeNodesInARowThenWaits) {
  RetryBudget budget;
  Attempts attempts(0, 1);
  EXPECT_TRUE(retry_of(attempts.failed(failed_at("a", Code::Busy), true, budget, 0)));
  EXPECT_TRUE(retry_of(attempts.failed(failed_at("b", Code::WorkerGone), true, budget, 0)));
  EXPECT_TRUE(wait_of(attempts.failed(failed_at("c", Code::Busy), true, budget, 0)));
}

TEST(Attempts, WhatNoNodeAcceptedWaitsForTheBudget) {
  RetryBudget budget;
  while (budget.take(0)) {
  }
  Attempts attempts(0, 1);
  const Decision decision = attempts.failed(failed_at("a", Code::WorkerGone), true, budget, 0);
  ASSERT_TRUE(wait_of(decision));
  EXPECT_TRUE(wait_of(decision)->costs_budget);
  // However often: its waits have an end (router.cpp), and it cannot be what harms nodes that it never reached.
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(wait_of(attempts.failed(failed_at("a", Code::WorkerGone), true, budget, 0)));
  EXPECT_TRUE(std::holds_alternative<GiveUp>(Attempts(1000, 1).failed(failed_at("a", Code::WorkerGone), true, budget, 1000)));
}

TEST(Attempts, NodesThatWereNeverReachedDoNotSpeakAgainstARequest) {
  RetryBudget budget;
  Attempts attempts(0, 1);
  for (const char* node : {"a", "b"}) {
    Failed unreached = failed_at(node, Code::WorkerGone);
    unreached.free = true;
    EXPECT_TRUE(retry_of(attempts.failed(unreached, true, budget, 0)));
  }
  Failed begun = failed_at("c", Code::WorkerGone, false, true);
  begun.free = true;
  EXPECT_TRUE(retry_of(attempts.failed(begun, true, budget, 0)));
  EXPECT_TRUE(retry_of(attempts.failed(begun, true, budget, 0)));
  EXPECT_TRUE(std::holds_alternative<GiveUp>(attempts.failed(begun, true, budget, 0))) << "the third that had begun it";
}

TEST(Attempts, WhatALostMachineHeldGoesFreeToOneThatDoesWell) {
  RetryBudget budget;
  while (budget.take(0)) {
  }
  for (bool accepted : {false, true}) {
    Failed failed = failed_at("a", Code::WorkerGone, false, accepted);
    failed.free = true;
    const Decision decision = Attempts(0, 1).failed(failed, true, budget, 0);
    ASSERT_TRUE(retry_of(decision));
    EXPECT_FALSE(retry_of(decision)->costs_budget);
  }
}

// Promises: A5.
TEST(Attempts, PatienceGrowsWithWhatIsExpectedAndEndsAtTheDeadline) {
  Choice choice;
  choice.expected_ms = 100;
  EXPECT_EQ(1000 + limits::kPatienceMs, Attempts(0, 1).patience(choice, 1000));
  choice.expected_ms = 60'000;
  EXPECT_EQ(1000 + 60'000 * limits::kPatienceTimes, Attempts(0, 1).patience(choice, 1000));
  EXPECT_EQ(5000, Attempts(5000, 1).patience(choice, 1000));
}

// Over any length of time, not only at one instant.
// Promises: A4.
TEST(RetryBudget, AllRetriesTogetherStayBelowAFifthOfAllRequests) {
  RetryBudget budget;
  int granted = 0;
  for (int i = 0; i < 10'000; ++i) {
    budget.request_started();
    for (int tries = 0; tries < 3; ++tries) {
      if (!budget.take(0)) continue;
      ++granted;
      budget.give_back();
    }
    budget.request_ended();
  }
  EXPECT_LE(granted, 2000 + limits::kRetryFloor);
  EXPECT_GE(granted, 1990);
}

}  // namespace
}  // namespace verge::router
