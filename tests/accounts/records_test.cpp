#include "accounts/records.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "accounts/accounts.h"
#include "folder.h"

namespace verge::accounts {
namespace {

using RecordsTest = testing::FolderTest;

TokenRecord token(int i, int64_t revoked_ms = 0) { return {fmt::format("{:012x}", i), token_hash(std::to_string(i)), "", "run", "", 5, 0, revoked_ms}; }

// R1, R2: whatever the order and however often records arrive, the same is left.
// Promises: RC2.
TEST_F(RecordsTest, EveryOrderLeavesTheSame) {
  for (unsigned seed = 0; seed < 25; ++seed) {
    std::mt19937 random(seed);
    std::vector<Records> told;
    for (int i = 0; i < 40; ++i) {
      Records one;
      if (random() % 2) one.tokens.push_back(token(static_cast<int>(random() % 4), random() % 3 ? 0 : 10 + random() % 5));
      const char* fields[] = {"concurrency", "daily_neurons", "rate:text-generation", "*"};
      SettingRecord setting{random() % 2 ? "a" : "b", fields[random() % 4], {}, static_cast<int64_t>(1 + random() % 6), random() % 2 ? "x" : "y"};
      if (setting.field != "*" && random() % 4) setting.value = static_cast<int64_t>(random() % 3);
      one.settings.push_back(setting);
      told.push_back(std::move(one));
    }
    std::optional<Digests> first;
    for (int copy = 0; copy < 3; ++copy) {
      Accounts accounts = std::move(*Accounts::open(fmt::format("{}/{}-{}", folder_, seed, copy)));
      std::shuffle(told.begin(), told.end(), random);
      for (const Records& one : told) ASSERT_TRUE(accounts.merge(one));
      for (size_t i = 0; i < 10; ++i) ASSERT_TRUE(accounts.merge(told[random() % told.size()]));
      const Digests digests = digests_of(*accounts.records());
      if (first) {
        ASSERT_EQ(*first, digests) << "seed " << seed;
      }
      first = digests;
    }
  }
}

// Promises: RC1.
TEST(Records, ARevocationAlwaysWins) {
  for (const auto& [a, b] : {std::pair{token(1), token(1, 9)}, {token(1, 9), token(1)}, {token(1, 9), token(1, 12)}}) EXPECT_EQ(joined(a, b).revoked_ms, 9);
}

}  // namespace
}  // namespace verge::accounts
