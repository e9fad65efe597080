#include "support/fair_share.h"

#include <gtest/gtest.h>

#include "support/random.h"

namespace verge {
namespace {

std::string next(const FairShare& share) {
  const std::string* tenant = share.first([](const std::string&) { return true; });
  return tenant ? *tenant : "";
}

// Promises: F1.
TEST(FairShare, EqualWorkWhateverItsPieces) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    FairShare share;
    std::map<std::string, double> got, piece;
    const int tenants = static_cast<int>(2 + random.below(6));
    for (int i = 0; i < tenants; ++i) {
      const std::string tenant = std::to_string(i);
      share.enter(tenant);
      piece[tenant] = static_cast<double>(1 + random.below(500));
    }
    for (int i = 0; i < 20000; ++i) {
      const std::string tenant = next(share);
      share.charge(tenant, piece[tenant]);
      got[tenant] += piece[tenant];
    }
    for (const auto& [tenant, work] : got) EXPECT_NEAR(work, got["0"], 1000) << "seed " << seed;
  }
}

// Promises: F2.
TEST(FairShare, WhoComesBackHasNothingSavedUp) {
  FairShare share;
  share.enter("often");
  share.enter("seldom");
  share.leave("seldom");
  for (int i = 0; i < 100; ++i) share.charge("often", 10);
  share.enter("seldom");
  int turns = 0;
  for (; next(share) == "seldom"; ++turns) share.charge("seldom", 10);
  EXPECT_LE(turns, 1);
}

// And what it got beyond its part is not forgotten by leaving.
// Promises: F2.
TEST(FairShare, LeavingDoesNotCancelADebt) {
  FairShare share;
  share.enter("a");
  share.enter("b");
  share.charge("a", 1000);
  share.leave("a");
  share.enter("a");
  EXPECT_EQ(next(share), "b");
}

// Promises: F3.
TEST(FairShare, EverNewTenantsDoNotHoldBackAnother) {
  FairShare share;
  share.enter("two");
  share.charge("two", 100);
  int turns = 0;
  for (int i = 0; i < 5; ++i) share.enter("new" + std::to_string(i));
  for (int i = 5; next(share) != "two" && turns < 100; ++i, ++turns) {
    const std::string one = next(share);
    share.charge(one, 100);
    share.leave(one);
    share.enter("new" + std::to_string(i));
  }
  EXPECT_LT(turns, 20);
}

TEST(FairShare, ForgetsWhoIsGone) {
  FairShare share;
  share.enter("stays");
  for (int i = 0; i < 10000; ++i) {
    const std::string tenant = std::to_string(i);
    share.enter(tenant);
    share.charge(tenant, 5);
    share.leave(tenant);
    share.charge("stays", 5);
  }
  EXPECT_LT(share.known(), 200u);
}

}  // namespace
}  // namespace verge
