#include "server/drain_delay.h"

#include <gtest/gtest.h>

namespace verge::server {
namespace {

TEST(DrainDelay, IsForThoseWhoWatch) {
  DrainDelay delay({});
  EXPECT_EQ(delay.seconds(SIGTERM, 1'000'000), 0);  // nobody would learn of it
  delay.asked(1'000'000);
  EXPECT_EQ(delay.seconds(SIGTERM, 1'000'000 + kWatchedMs), kDrainDelayS);
  EXPECT_EQ(delay.seconds(SIGTERM, 1'000'001 + kWatchedMs), 0);  // no longer
}

TEST(DrainDelay, HoldsAsGiven) {
  DrainDelay none(0), ten(10);
  none.asked(5);
  EXPECT_EQ(none.seconds(SIGTERM, 6), 0);
  EXPECT_EQ(ten.seconds(SIGTERM, 6), 10);
}

TEST(DrainDelay, IsNotForCtrlC) {
  DrainDelay ten(10);
  ten.asked(5);
  EXPECT_EQ(ten.seconds(SIGINT, 6), 0);
}

}  // namespace
}  // namespace verge::server
