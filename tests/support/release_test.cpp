#include "support/release.h"

#include <gtest/gtest.h>

namespace verge {
namespace {

TEST(Release, GivesTheMemoryBack) {
  std::string text(1 << 20, 'x');
  release(text);
  EXPECT_TRUE(text.empty());
  EXPECT_LT(text.capacity(), 64u);
  std::string kept(1 << 20, 'x');
  kept = std::string();
  EXPECT_GE(kept.capacity(), 1u << 20) << "the library frees it now: release() is no longer needed";
}

}  // namespace
}  // namespace verge
