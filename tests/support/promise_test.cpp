#include "support/promise.h"

#include <gtest/gtest.h>

namespace verge {
namespace {

TEST(Promise, ABrokenOneNamesItselfAndGoesOn) {
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(VERGE_EXPECT(1 + 1 == 2, "sums"));
  EXPECT_FALSE(VERGE_EXPECT(1 + 1 == 3, "sums are right"));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("sums are right"), std::string::npos) << said;
  EXPECT_NE(said.find("1 + 1 == 3"), std::string::npos) << said;
  EXPECT_NE(said.find("promise_test.cpp"), std::string::npos) << said;
}

}  // namespace
}  // namespace verge
