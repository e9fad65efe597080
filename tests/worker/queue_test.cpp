#include "worker/queue.h"

#include <gtest/gtest.h>

namespace verge::worker {
namespace {

Queue::Item item(uint64_t id, const char* tenant = "t", int64_t cost = 100) { return {id, tenant, id, cost, 0}; }

std::vector<uint64_t> drain(Queue& queue) {
  std::vector<uint64_t> order;
  while (auto id = queue.front()) {
    order.push_back(*id);
    queue.pop();
  }
  return order;
}

TEST(Queue, OneTenantIsServedInOrder) {
  Queue queue;
  for (uint64_t id : {1, 2, 3, 4}) ASSERT_TRUE(queue.push(item(id), 0));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1, 2, 3, 4}));
}

TEST(Queue, AFloodDelaysAnotherTenantByOneRequest) {
  Queue queue;
  for (uint64_t id = 1; id <= 100; ++id) ASSERT_TRUE(queue.push(item(id, "flood"), 0));
  queue.pop();  // one is served already
  ASSERT_TRUE(queue.push(item(1000, "light"), 0));
  queue.pop();  // the flood's next, which came first
  EXPECT_EQ(queue.front(), 1000u);
}

TEST(Queue, TenantsShareByTokensNotByRequests) {
  Queue queue;
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(queue.push(item(id, "long", 1000), 0));
  for (uint64_t id = 101; id <= 140; ++id) ASSERT_TRUE(queue.push(item(id, "short", 100), 0));
  int64_t long_tokens = 0, short_tokens = 0;
  for (int i = 0; i < 33; ++i) {
    const uint64_t id = *queue.front();
    queue.pop();
    (id > 100 ? short_tokens : long_tokens) += id > 100 ? 100 : 1000;
  }
  EXPECT_NEAR(static_cast<double>(short_tokens), static_cast<double>(long_tokens), 1000);
}

TEST(Queue, EverNewTenantsDoNotHoldBackAnother) {
  Queue queue;
  ASSERT_TRUE(queue.push(item(1, "two"), 0));
  ASSERT_TRUE(queue.push(item(2, "two"), 0));
  uint64_t next = 100;
  for (int i = 0; i < 20; ++i, ++next) ASSERT_TRUE(queue.push(item(next, std::to_string(next).c_str()), 0));
  bool found = false;
  for (int i = 0; i < 200 && !found; ++i) {
    found = *queue.front() == 2;
    queue.pop();
    ASSERT_TRUE(queue.push(item(next, std::to_string(next).c_str()), 0));
    ++next;
  }
  EXPECT_TRUE(found);
}

TEST(Queue, RefusesPastItsLength) {
  Queue queue({.length = 2, .time_ms = 1000});
  ASSERT_TRUE(queue.push(item(1), 0));
  ASSERT_TRUE(queue.push(item(2), 0));
  const auto refused = queue.push(item(3), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  EXPECT_GT(refused.error().retry_after_ms, 0);
  queue.pop();
  EXPECT_TRUE(queue.push(item(3), 0));
}

TEST(Queue, ReplaysAreTakenEvenWhenFullAndGoFirst) {
  Queue queue({.length = 1, .time_ms = 1000});
  ASSERT_TRUE(queue.push(item(5), 0));
  queue.push_replay(item(2));
  queue.push_replay(item(1));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1, 2, 5}));
}

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
