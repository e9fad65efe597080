#include "worker/prepare_queue.h"

#include <gtest/gtest.h>

namespace verge::worker {
namespace {

constexpr size_t kLong = 9'000'000;

// Promises: PQ1, PQ2.
TEST(PrepareQueue, AShortPromptWaitsForNoLongOneEvenOfItsOwnTenant) {
  PrepareQueue queue(2);
  for (uint64_t id = 1; id <= 5; ++id) queue.push(id, "t", kLong);
  const auto first = queue.pop();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, 1u);
  EXPECT_FALSE(queue.pop()) << "one thread is kept for short ones";
  queue.push(9, "t", 100);
  EXPECT_EQ(queue.pop()->id, 9u);
  queue.done(*first);
  EXPECT_EQ(queue.pop()->id, 2u);
}

TEST(PrepareQueue, OneThreadTakesLongOnesToo) {
  PrepareQueue queue(1);
  queue.push(1, "t", kLong);
  EXPECT_EQ(queue.pop()->id, 1u);
}

// Promises: PQ1.
TEST(PrepareQueue, TenantsTakeTurnsByBytes) {
  PrepareQueue queue(4);
  for (uint64_t id = 1; id <= 100; ++id) queue.push(id, "flood", 10'000);
  for (uint64_t id = 1001; id <= 1100; ++id) queue.push(id, "light", 1'000);
  int light = 0;
  for (int i = 0; i < 50; ++i) light += queue.pop()->id > 1000;
  EXPECT_GE(light, 40);
  EXPECT_LE(light, 47);
}

}  // namespace
}  // namespace verge::worker
