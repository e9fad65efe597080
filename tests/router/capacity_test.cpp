#include "router/capacity.h"

#include <gtest/gtest.h>

#include <set>

namespace verge::router {
namespace {

// Releases up to `places` requests; their ids in order.
std::vector<uint64_t> let_in(CapacityQueue& queue, int places, Instant now = 0) {
  std::vector<uint64_t> started;
  queue.release(now, [&](uint64_t id) {
    if (places == 0) return false;
    --places;
    started.push_back(id);
    return true;
  });
  return started;
}

// Promises: CA2.
TEST(CapacityQueue, IsFirstComeFirstServedForOneTenant) {
  CapacityQueue queue;
  for (uint64_t id = 1; id <= 5; ++id) EXPECT_TRUE(queue.enter(id, "a", "m", 100, 0, 0).in);
  EXPECT_TRUE(queue.waits_for("m"));
  EXPECT_EQ((std::vector<uint64_t>{1, 2}), let_in(queue, 2));
  queue.leave(3);
  EXPECT_EQ((std::vector<uint64_t>{4, 5}), let_in(queue, 9));
  EXPECT_EQ(0u, queue.size());
  EXPECT_FALSE(queue.waits_for("m"));
}

// Promises: CA2.
TEST(CapacityQueue, TenantsTakeTurns) {
  CapacityQueue queue;
  for (uint64_t id = 1; id <= 100; ++id) queue.enter(id, "flood", "m", 100, 0, 0);
  queue.enter(1001, "light", "m", 100, 0, 0);
  queue.enter(1002, "light", "m", 100, 0, 0);
  const auto first = let_in(queue, 5);
  EXPECT_EQ(1, std::count(first.begin(), first.end(), 1001u));
  EXPECT_EQ(1, std::count(first.begin(), first.end(), 1002u));
}

// Promises: CA2.
TEST(CapacityQueue, WhoAsksForMoreWaitsLonger) {
  CapacityQueue queue;
  for (uint64_t i = 0; i < 20; ++i) queue.enter(100 + i, "long", "m", 1000, 0, 0), queue.enter(200 + i, "short", "m", 100, 0, 0);
  const auto first = let_in(queue, 11);
  EXPECT_GE(std::count_if(first.begin(), first.end(), [](uint64_t id) { return id >= 200; }), 9);
}

TEST(CapacityQueue, ModelsDoNotWaitForEachOther) {
  CapacityQueue queue;
  queue.enter(1, "a", "full", 1, 0, 0);
  queue.enter(2, "a", "free", 1, 0, 0);
  std::vector<uint64_t> started;
  queue.release(0, [&](uint64_t id) { return id == 2 && (started.push_back(id), true); });
  EXPECT_EQ((std::vector<uint64_t>{2}), started);
  EXPECT_TRUE(queue.waits_for("full"));
}

TEST(CapacityQueue, ARequestThatMayGoElsewherePassesOneThatMayNot) {
  CapacityQueue queue;
  queue.enter(1, "a", "m", 1, 0, 0);  // allowed in a full region only
  queue.enter(2, "a", "m", 1, 0, 0);
  std::vector<uint64_t> started;
  queue.release(0, [&](uint64_t id) { return id == 2 && (started.push_back(id), true); });
  EXPECT_EQ((std::vector<uint64_t>{2}), started);
}

// Promises: CA1.
TEST(CapacityQueue, EndsAtTheDeadlineOrTheBound) {
  CapacityQueue queue;
  EXPECT_FALSE(queue.enter(1, "a", "m", 1, 50, 50).in) << "too late already";
  queue.enter(2, "a", "m", 1, 100, 50);
  queue.enter(3, "a", "m", 1, 0, 50);
  EXPECT_TRUE(queue.expire(99).empty());
  EXPECT_EQ((std::vector<uint64_t>{2}), queue.expire(100));
  EXPECT_TRUE(queue.expire(49 + limits::kRoomWaitMs).empty());
  EXPECT_EQ((std::vector<uint64_t>{3}), queue.expire(50 + limits::kRoomWaitMs));
}

// Promises: CA3.
TEST(CapacityQueue, AFullRoomTakesFromTheTenantThatHoldsMost) {
  CapacityQueue queue(10);
  for (uint64_t id = 1; id <= 10; ++id) EXPECT_TRUE(queue.enter(id, "flood", "m", 1, 0, 0).in);
  EXPECT_FALSE(queue.enter(11, "flood", "m", 1, 0, 0).in);
  const auto light = queue.enter(12, "light", "m", 1, 0, 0);
  EXPECT_TRUE(light.in);
  EXPECT_EQ(10u, light.pushed_out) << "its newest";
  int in = 0;
  for (uint64_t id = 20; id < 40; ++id) in += queue.enter(id, "light", "m", 1, 0, 0).in;
  EXPECT_EQ(10u, queue.size());
  EXPECT_EQ(4, in) << "until both hold the same";
}

TEST(CapacityQueue, SaysWhenToComeBackByThePace) {
  CapacityQueue queue;
  EXPECT_EQ(1000, queue.retry_after_ms("m"));
  for (uint64_t id = 1; id <= 60; ++id) queue.enter(id, "a", "m", 1, 0, 0);
  for (Instant now = 0; now < 20'000; now += 500) let_in(queue, 1, now);
  EXPECT_NEAR(21 * 500, queue.retry_after_ms("m"), 1500);
  for (uint64_t id = 100; id <= 900; ++id) queue.enter(id, "a", "m", 1, 0, 0);
  EXPECT_EQ(limits::kRetryAfterMaxMs, queue.retry_after_ms("m"));
}

}  // namespace
}  // namespace verge::router
