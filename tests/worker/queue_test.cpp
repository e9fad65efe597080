#include "worker/queue.h"

#include <gtest/gtest.h>

namespace verge::worker {
namespace {

Queue::Item item(uint64_t id, const char* tenant = "t") { return {id, tenant, id, 0}; }

std::vector<uint64_t> drain(Queue& queue, const char* tenant = "t") {
  std::vector<uint64_t> order;
  while (auto id = queue.front(tenant)) {
    order.push_back(*id);
    queue.remove(*id);
  }
  return order;
}

TEST(Queue, OneTenantIsServedInOrder) {
  Queue queue;
  for (uint64_t id : {1, 2, 3, 4}) ASSERT_TRUE(queue.push(item(id), 0));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1, 2, 3, 4}));
}

TEST(Queue, EachTenantHasALine) {
  Queue queue;
  for (uint64_t id : {1, 3}) ASSERT_TRUE(queue.push(item(id, "a"), 0));
  ASSERT_TRUE(queue.push(item(2, "b"), 0));
  EXPECT_EQ(queue.front("c"), std::nullopt);
  EXPECT_EQ(drain(queue, "b"), (std::vector<uint64_t>{2}));
  EXPECT_EQ(drain(queue, "a"), (std::vector<uint64_t>{1, 3}));
}

// Promises: WQ1.
TEST(Queue, RefusesPastItsLength) {
  Queue queue({.length = 2, .time_ms = 1000});
  ASSERT_TRUE(queue.push(item(1), 0));
  ASSERT_TRUE(queue.push(item(2), 0));
  const auto refused = queue.push(item(3), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  EXPECT_GT(refused.error().retry_after_ms, 0);
  queue.remove(1);
  EXPECT_TRUE(queue.push(item(3), 0));
}

// Promises: WQ1.
TEST(Queue, ReplaysAreTakenEvenWhenFullAndGoFirst) {
  Queue queue({.length = 1, .time_ms = 1000});
  ASSERT_TRUE(queue.push(item(5), 0));
  queue.push_replay(item(2));
  queue.push_replay(item(1));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1, 2, 5}));
}

// Promises: WQ2.
TEST(Queue, WaitingEndsAtTheLimitAndReplaysDoNot) {
  Queue queue({.length = 10, .time_ms = 1000});
  ASSERT_TRUE(queue.push(item(1), 0));
  ASSERT_TRUE(queue.push(item(2), 500));
  queue.push_replay(item(3));
  EXPECT_TRUE(queue.expire(999).empty());
  EXPECT_EQ(queue.next_expiry(), 1000);
  const auto expired = queue.expire(1000);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].id, 1u);
  EXPECT_EQ(expired[0].error.code, Code::Busy);
  EXPECT_EQ(queue.expire(1'000'000).size(), 1u);
  EXPECT_EQ(queue.size(), 1);
  EXPECT_EQ(queue.next_expiry(), INT64_MAX);
}

// Promises: WQ2.
TEST(Queue, ADeadlineEndsTheWaitAsTimeout) {
  Queue queue({.length = 10, .time_ms = 1000});
  Queue::Item early = item(1);
  early.deadline_ms = 300;
  ASSERT_TRUE(queue.push(early, 0));
  const auto expired = queue.expire(300);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].error.code, Code::Timeout);
  const auto late = queue.push(early, 300);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::Timeout);
}

TEST(Queue, RemovesAnywhere) {
  Queue queue;
  for (uint64_t id : {1, 2, 3}) ASSERT_TRUE(queue.push(item(id), 0));
  EXPECT_TRUE(queue.remove(2));
  EXPECT_FALSE(queue.remove(2));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1, 3}));
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace verge::worker
