#include "accounts/quota.h"

#include <gtest/gtest.h>

#include "support/limits.h"

namespace verge::accounts {
namespace {

constexpr int64_t kMidnight = 20'000 * kDayMs, kNoon = kMidnight + kDayMs / 2;
constexpr int64_t kLimit = kFreeNeurons * kMicro;

// A gateway that is alone, with its record.
struct Alone {
  Quota quota;
  int64_t leased = 0, day = -1;
  int64_t limit = kLimit, cut_off = 0;

  Quota::Answer ask(int64_t estimate, int64_t now = kNoon) {
    while (true) {
      const Quota::Answer answer = quota.reserve(estimate, limit, cut_off, now);
      if (answer.verdict != Quota::Verdict::NeedsLease) return answer;
      if (day != quota.day()) {
        day = quota.day();
        leased = 0;
      }
      const LeasePlan plan = plan_lease(leased, limit, answer.wanted, quota.owed());
      leased = plan.next;
      quota.leased(day, plan.take, quota.owed(), limit);
    }
  }
  bool run(int64_t cost, int64_t now = kNoon) {
    const Quota::Answer answer = ask(cost, now);
    if (answer.verdict != Quota::Verdict::Granted) return false;
    quota.settle(answer.reservation, cost, now);
    return true;
  }
};

TEST(Quota, TheRequestAfterTheLastNeuronIsRefused) {
  Alone alone;
  int served = 0;
  while (alone.run(300 * kMicro)) ++served;
  // 33 fit, and the 34th starts with the 100 that are left.
  EXPECT_EQ(served, 34);
  EXPECT_EQ(alone.quota.spent(), 10'200 * kMicro);
  EXPECT_EQ(alone.ask(1).verdict, Quota::Verdict::Spent);
}

TEST(Quota, ExactlyUsedUpIsUsedUp) {
  Alone alone;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(alone.run(1000 * kMicro));
  EXPECT_EQ(alone.ask(1).verdict, Quota::Verdict::Spent);
  EXPECT_EQ(alone.quota.spent(), kLimit);
}

// Promises: Q4.
TEST(Quota, WhatIsFreeOfChargeIsAlwaysGranted) {
  Alone alone;
  alone.limit = 0;
  EXPECT_EQ(alone.ask(1).verdict, Quota::Verdict::Spent);
  EXPECT_EQ(alone.ask(0).verdict, Quota::Verdict::Granted);
}

// Promises: Q3.
TEST(Quota, MidnightBeginsAnew) {
  Alone alone;
  while (alone.run(1000 * kMicro, kMidnight - 1)) {
  }
  EXPECT_EQ(alone.ask(1, kMidnight - 1).verdict, Quota::Verdict::Spent);
  EXPECT_EQ(ms_to_midnight(kMidnight - 1), 1);
  EXPECT_TRUE(alone.run(1000 * kMicro, kMidnight));
  EXPECT_EQ(alone.quota.spent(), 1000 * kMicro);
  EXPECT_EQ(ms_to_midnight(kMidnight), kDayMs);
}

// Promises: Q3.
TEST(Quota, ARequestThatRunsPastMidnightIsYesterdays) {
  Alone alone;
  const auto before = alone.ask(500 * kMicro, kMidnight - 10);
  ASSERT_TRUE(alone.run(100 * kMicro, kMidnight + 5));
  alone.quota.settle(before.reservation, 500 * kMicro, kMidnight + 10);
  EXPECT_EQ(alone.quota.spent(), 100 * kMicro);
  EXPECT_EQ(alone.quota.reserved(), 0);
  // And where its clock went ahead and back.
  Alone odd;
  const auto early = odd.ask(500 * kMicro, kNoon);
  ASSERT_TRUE(odd.run(1, kNoon + kDayMs));
  ASSERT_TRUE(odd.run(1, kNoon));
  odd.quota.settle(early.reservation, 400 * kMicro, kNoon);
  EXPECT_EQ(odd.quota.reserved(), 0);
}

TEST(Quota, WhatAFailedRequestHeldIsFreeAgain) {
  Alone alone;
  const auto first = alone.ask(9'999 * kMicro);
  ASSERT_EQ(first.verdict, Quota::Verdict::Granted);
  const auto last = alone.ask(5 * kMicro);
  ASSERT_EQ(last.verdict, Quota::Verdict::Granted);
  EXPECT_TRUE(last.reservation.last);
  EXPECT_EQ(alone.ask(kMicro).verdict, Quota::Verdict::Held) << "nothing is spent yet: a retry may help";
  alone.quota.give_back(first.reservation, kNoon);
  EXPECT_TRUE(alone.run(kMicro));
}

// Promises: Q1.
TEST(Quota, OneRequestAtATimeRunsOnLessThanItsEstimate) {
  Alone alone;
  ASSERT_TRUE(alone.run(9'990 * kMicro));
  const auto last = alone.ask(100 * kMicro);
  ASSERT_EQ(last.verdict, Quota::Verdict::Granted);
  EXPECT_EQ(last.reservation.amount, 10 * kMicro);
  EXPECT_EQ(alone.ask(100 * kMicro).verdict, Quota::Verdict::Held);
  alone.quota.settle(last.reservation, 100 * kMicro, kNoon);
  EXPECT_EQ(alone.ask(100 * kMicro).verdict, Quota::Verdict::Spent);
  EXPECT_EQ(alone.quota.spent(), kLimit + 90 * kMicro);
}

TEST(Quota, LeasesFollowTheSpendingAndStaySmall) {
  Quota quota;
  EXPECT_EQ(quota.lease_size(kLimit, kNoon), kLimit / limits::kLeaseLeastParts);
  Alone alone;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(alone.run(20 * kMicro, kNoon + i * 200));  // 100 neurons a second
  const int64_t size = alone.quota.lease_size(kLimit, kNoon + 100 * 200);
  EXPECT_GT(size, 150 * kMicro);
  EXPECT_LE(size, 220 * kMicro) << "about two seconds of it";
  EXPECT_EQ(alone.quota.lease_size(kLimit, kNoon + kDayMs / 4), kLimit / limits::kLeaseLeastParts) << "forgotten after a while";
  ASSERT_TRUE(alone.run(4000 * kMicro, kNoon + 20'000));
  EXPECT_LE(alone.quota.lease_size(kLimit, kNoon + 20'000), kLimit / limits::kLeaseMostParts);
}

TEST(Quota, CutOffItSpendsItsShareAndOwesIt) {
  Quota quota;
  const int64_t share = 500 * kMicro;
  ASSERT_EQ(quota.reserve(100 * kMicro, kLimit, share, kNoon).verdict, Quota::Verdict::NeedsLease);
  quota.unreachable(quota.day(), kNoon);
  int served = 0;
  for (;;) {
    const auto answer = quota.reserve(100 * kMicro, kLimit, share, kNoon + 1);
    if (answer.verdict != Quota::Verdict::Granted) {
      EXPECT_EQ(answer.verdict, Quota::Verdict::Held) << "it does not know that the allocation is spent";
      break;
    }
    quota.settle(answer.reservation, 100 * kMicro, kNoon + 1);
    ++served;
  }
  EXPECT_EQ(served, 5);
  EXPECT_EQ(quota.owed(), share);
  // After a while it asks again, and what it owes is added to the record.
  const int64_t later = kNoon + 1 + limits::kLeaseStoreMs;
  const auto again = quota.reserve(100 * kMicro, kLimit, share, later);
  ASSERT_EQ(again.verdict, Quota::Verdict::NeedsLease);
  const LeasePlan plan = plan_lease(9'000 * kMicro, kLimit, again.wanted, quota.owed());
  EXPECT_EQ(plan.next, 9'000 * kMicro + share + plan.take);
  EXPECT_LE(plan.next, kLimit);
  quota.leased(quota.day(), plan.take, quota.owed(), kLimit);
  EXPECT_EQ(quota.owed(), 0);
  EXPECT_EQ(quota.reserve(100 * kMicro, kLimit, share, later).verdict, Quota::Verdict::Granted);
  // With nothing allowed it is closed while cut off.
  Quota closed;
  ASSERT_EQ(closed.reserve(1, kLimit, 0, kNoon).verdict, Quota::Verdict::NeedsLease);
  closed.unreachable(closed.day(), kNoon);
  EXPECT_EQ(closed.reserve(1, kLimit, 0, kNoon + 1).verdict, Quota::Verdict::Held);
}

TEST(Quota, ARaisedLimitIsSeenAtOnce) {
  Alone alone;
  while (alone.run(1000 * kMicro)) {
  }
  alone.limit = 2 * kLimit;
  EXPECT_TRUE(alone.run(1000 * kMicro));
  alone.limit = kLimit;
  EXPECT_EQ(alone.ask(2000 * kMicro).verdict, Quota::Verdict::Spent);
}

TEST(Quota, AnswersOfYesterdayChangeNothing) {
  Quota quota;
  ASSERT_EQ(quota.reserve(1, kLimit, 0, kNoon).verdict, Quota::Verdict::NeedsLease);
  const int64_t day = quota.day();
  ASSERT_EQ(quota.reserve(1, kLimit, 0, kNoon + kDayMs).verdict, Quota::Verdict::NeedsLease);
  quota.leased(day, 77, 0, kLimit);
  quota.unreachable(day, kNoon + kDayMs);
  EXPECT_EQ(quota.granted(), 0);
  EXPECT_EQ(quota.reserve(1, kLimit, 0, kNoon + kDayMs).verdict, Quota::Verdict::NeedsLease);
}

TEST(PlanLease, NeverHandsOutMoreThanTheLimit) {
  EXPECT_EQ(plan_lease(0, 100, 30, 0).take, 30);
  EXPECT_EQ(plan_lease(90, 100, 30, 0).take, 10);
  EXPECT_EQ(plan_lease(100, 100, 30, 0).take, 0);
  EXPECT_EQ(plan_lease(100, 100, 30, 0).next, 100);
  EXPECT_EQ(plan_lease(95, 100, 30, 20).take, 0);
  EXPECT_EQ(plan_lease(95, 100, 30, 20).next, 115) << "what was spent without the record is told all the same";
  EXPECT_EQ(plan_lease(150, 100, 30, 0).take, 0) << "a lowered limit";
}

}  // namespace
}  // namespace verge::accounts
