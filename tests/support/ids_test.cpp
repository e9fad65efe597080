#include <gtest/gtest.h>

#include <set>

#include "support/clock.h"
#include "support/random.h"
#include "support/uuid.h"

namespace verge {
namespace {

TEST(Uuid, IsVersionFourAndNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = uuid_v4();
    EXPECT_TRUE(is_uuid(id)) << id;
    EXPECT_EQ('4', id[14]);
    EXPECT_NE(std::string::npos, std::string("89ab").find(id[19]));
    EXPECT_TRUE(seen.insert(id).second);
  }
  for (const char* bad : {"", "x", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000", "0000000000000-0000-0000-000000000000", "g0000000-0000-0000-0000-000000000000"})
    EXPECT_FALSE(is_uuid(bad)) << bad;
}

TEST(Random, FollowsFromSeedAndPositionAlone) {
  // splitmix64's published first outputs for seed 0 (its state advances by the same constant).
  EXPECT_EQ(0xe220a8397b1dcdafu, mix64(0));
  EXPECT_EQ(random_at(1, 2), random_at(1, 2));
  EXPECT_NE(random_at(1, 2), random_at(2, 1));
  double sum = 0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    const double u = unit_at(42, i);
    ASSERT_TRUE(u >= 0 && u < 1);
    sum += u;
  }
  EXPECT_NEAR(0.5, sum / 10'000, 0.02);
}

TEST(Clock, TellsTheTime) {
  EXPECT_GT(unix_ms(), 1'700'000'000'000);
  const int64_t a = monotonic_us();
  EXPECT_LE(a, monotonic_us());
}

}  // namespace
}  // namespace verge
