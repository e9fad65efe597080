#include "worker/packer.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "support/random.h"

namespace verge::worker {
namespace {

Packer::Job job(uint64_t id, int items, const char* tenant = "t", int64_t cost = 10) {
  return {id, tenant, std::vector<int64_t>(static_cast<size_t>(items), cost), 0, false};
}

std::multiset<uint64_t> ids(const std::vector<Packer::Item>& batch) {
  std::multiset<uint64_t> out;
  for (const auto& item : batch) out.insert(item.id);
  return out;
}

// Promises: PK1.
TEST(Packer, AHundredItemsDelayOneByNoMoreThanABatch) {
  Packer packer;
  ASSERT_TRUE(packer.submit(job(1, 100), 0));
  auto running = packer.next(80, 100);
  EXPECT_EQ(running.size(), 8u);
  ASSERT_TRUE(packer.submit(job(2, 1), 0));  // same tenant, while a batch runs
  EXPECT_TRUE(packer.done(running).empty());
  auto next = packer.next(80, 100);
  EXPECT_TRUE(ids(next).contains(2));
  EXPECT_EQ(packer.done(next), std::vector<uint64_t>{2});
}

TEST(Packer, ManySinglesShareABatchInOrderOfArrival) {
  Packer packer;
  for (uint64_t id = 1; id <= 12; ++id) ASSERT_TRUE(packer.submit(job(id, 1), 0));
  auto batch = packer.next(80, 100);
  EXPECT_EQ(ids(batch), (std::multiset<uint64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(packer.next(1000, 3).size(), 3u);
}

TEST(Packer, AFloodOfOneTenantDelaysAnothersByABatch) {
  Packer packer;
  for (uint64_t id = 1; id <= 300; ++id) ASSERT_TRUE(packer.submit(job(id, 1, "flood"), 0));
  packer.done(packer.next(80, 100));
  ASSERT_TRUE(packer.submit(job(1000, 3, "light"), 0));
  EXPECT_EQ(ids(packer.next(80, 100)).count(1000), 3u);
}

// Promises: PK2.
TEST(Packer, AnItemOverTheLimitRunsAlone) {
  Packer packer;
  ASSERT_TRUE(packer.submit(job(1, 1, "t", 500), 0));
  ASSERT_TRUE(packer.submit(job(2, 1, "t", 5), 0));
  EXPECT_EQ(ids(packer.next(100, 10)), std::multiset<uint64_t>{1});
  EXPECT_EQ(ids(packer.next(100, 10)), std::multiset<uint64_t>{2});
  EXPECT_TRUE(packer.next(100, 10).empty());
}

// Promises: PK3.
TEST(Packer, BoundsAndDeadlines) {
  Packer packer({2, 1000});
  Packer::Job dated = job(1, 2);
  dated.deadline_ms = 50;
  ASSERT_TRUE(packer.submit(dated, 0));
  ASSERT_TRUE(packer.submit(job(2, 2), 0));
  auto third = packer.submit(job(3, 1), 0);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::Busy);
  EXPECT_EQ(packer.next_expiry(), 50);
  auto expired = packer.expire(50);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].error.code, Code::Timeout);
  packer.next(10, 1);  // request 2 has begun: its wait is over
  EXPECT_EQ(packer.next_expiry(), INT64_MAX);
  EXPECT_TRUE(packer.expire(5000).empty());
  ASSERT_TRUE(packer.submit(job(4, 1), 5000));
  auto busy = packer.expire(6000);
  ASSERT_EQ(busy.size(), 1u);
  EXPECT_EQ(busy[0].id, 4u);
  EXPECT_EQ(busy[0].error.code, Code::Busy);
  Packer::Job late = job(5, 1);
  late.deadline_ms = 10;
  EXPECT_EQ(packer.submit(late, 20).error().code, Code::Timeout);
}

TEST(Packer, RejectIfBusy) {
  Packer packer;
  Packer::Job first = job(1, 1);
  first.reject_if_busy = true;
  ASSERT_TRUE(packer.submit(first, 0));
  auto batch = packer.next(100, 10);
  Packer::Job second = job(2, 1);
  second.reject_if_busy = true;
  EXPECT_EQ(packer.submit(second, 0).error().code, Code::Busy) << "one runs";
  packer.done(batch);
  EXPECT_TRUE(packer.submit(second, 0));
}

// Whatever happens, each item of a request that was not cancelled runs once, and nothing is left.
TEST(Packer, EveryItemRunsOnceWhateverHappens) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Packer packer({64, 1'000'000});
    std::map<uint64_t, int> wanted, ran;
    uint64_t draw = 0, next_id = 1;
    const auto chance = [&](uint64_t n) { return random_at(seed, draw++) % n; };
    std::vector<uint64_t> complete;
    for (int step = 0; step < 200; ++step) {
      if (chance(2) == 0) {
        const int items = static_cast<int>(1 + chance(20));
        const char* tenants[] = {"a", "b", "c"};
        Packer::Job j = job(next_id, items, tenants[chance(3)], static_cast<int64_t>(1 + chance(30)));
        if (packer.submit(std::move(j), step)) wanted[next_id] = items;
        ++next_id;
      }
      if (chance(10) == 0 && !wanted.empty()) {
        const uint64_t id = std::next(wanted.begin(), static_cast<ptrdiff_t>(chance(wanted.size())))->first;
        if (packer.cancel(id)) wanted.erase(id);
      }
      const int64_t limit = static_cast<int64_t>(1 + chance(100));
      auto batch = packer.next(limit, 16);
      for (const auto& item : batch) ++ran[item.id];
      for (uint64_t id : packer.done(batch)) complete.push_back(id);
    }
    while (!packer.idle()) {
      auto batch = packer.next(100, 16);
      ASSERT_FALSE(batch.empty());
      for (const auto& item : batch) ++ran[item.id];
      for (uint64_t id : packer.done(batch)) complete.push_back(id);
    }
    EXPECT_EQ(packer.requests(), 0);
    EXPECT_EQ(packer.waiting_cost(), 0);
    for (const auto& [id, items] : wanted) EXPECT_EQ(ran[id], items) << "seed " << seed;
    EXPECT_EQ(std::set<uint64_t>(complete.begin(), complete.end()).size(), complete.size());
    EXPECT_EQ(complete.size(), wanted.size());
  }
}

TEST(BatchCost, GrowsWithWhatWaitsWithinItsBounds) {
  EXPECT_EQ(batch_cost(100000, 0, 64, 4096), 64) << "nothing measured yet";
  EXPECT_EQ(batch_cost(10, 10, 64, 4096), 250) << "25 ms at 10 a ms";
  EXPECT_EQ(batch_cost(4000, 10, 64, 4096), 1000) << "a quarter of 400 ms";
  EXPECT_EQ(batch_cost(1000000, 10, 64, 4096), 2000) << "200 ms at most";
  EXPECT_EQ(batch_cost(1000000, 1000, 64, 4096), 4096);
  EXPECT_EQ(batch_cost(10, 0.1, 64, 4096), 64);
}

}  // namespace
}  // namespace verge::worker
