#include "node/pace.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

TEST(Pace, SaysWhatItMeasured) {
  Pace pace;
  EXPECT_EQ(-1, pace.first_token_ms());
  EXPECT_EQ(0, pace.slot_ms());
  pace.accepted_alone(150, 100, 1000);
  EXPECT_EQ(50, pace.first_token_ms()) << "less the reading of the prompt";
  pace.accepted_alone(900, 100, 1000);
  EXPECT_EQ(50, pace.first_token_ms()) << "the machine was busy";
  for (int i = 0; i < 8; ++i) pace.accepted_alone(400, 100, 1000);
  EXPECT_EQ(300, pace.first_token_ms()) << "it is slower now";
  pace.accepted_alone(10, 100, 1000);
  EXPECT_EQ(0, pace.first_token_ms()) << "never less than nothing";
  pace.held(1000);
  pace.held(2000);
  EXPECT_EQ(1200, pace.slot_ms());
}

}  // namespace
}  // namespace verge::node
