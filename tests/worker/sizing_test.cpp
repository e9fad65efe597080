#include "worker/sizing.h"

#include <gtest/gtest.h>

#include "support/limits.h"

namespace verge::worker {
namespace {

TEST(Sizing, SixteenFullContextsWhereTheBudgetAllows) {
  const auto size = size_kv({.model_context = 2048, .page_bytes = 1000, .budget_bytes = 1 << 30});
  ASSERT_TRUE(size);
  EXPECT_EQ(size->pages, 16 * 2048 / limits::kPageTokens);
  EXPECT_EQ(size->context_tokens, 2048);
  EXPECT_EQ(size->bytes, static_cast<uint64_t>(size->pages) * 1000);
}

TEST(Sizing, TheContextShrinksToTheBudget) {
  const auto size = size_kv({.model_context = 131072, .page_bytes = 1 << 20, .budget_bytes = 100 << 20});
  ASSERT_TRUE(size);
  EXPECT_EQ(size->pages, 100);
  EXPECT_EQ(size->context_tokens, 3200);
}

TEST(Sizing, TheWishNeverPassesTheModel) {
  const auto size = size_kv({.model_context = 512, .wanted_context = 100000, .page_bytes = 10});
  ASSERT_TRUE(size);
  EXPECT_EQ(size->context_tokens, 512);
}

TEST(Sizing, WithoutABudgetAQuarterOfWhatIsLeft) {
  const auto size = size_kv({.model_context = 1 << 20, .page_bytes = 1 << 20, .available_bytes = 400 << 20});
  ASSERT_TRUE(size);
  EXPECT_EQ(size->pages, 100);
}

TEST(Sizing, NotEvenAPageIsALoadError) {
  const auto size = size_kv({.model_context = 512, .page_bytes = 1000, .budget_bytes = 999});
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().code, Code::LoadFailed);
}

}  // namespace
}  // namespace verge::worker
