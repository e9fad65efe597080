#include "worker/pages.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/random.h"

namespace verge::worker {
namespace {

constexpr int kP = limits::kPageTokens;

std::vector<int32_t> tokens(int count, int32_t first = 0) {
  std::vector<int32_t> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

// Promises: G3.
TEST(Pages, AllocatesAllOrNothing) {
  Pages pages(4);
  PageTable a, b;
  EXPECT_TRUE(pages.allocate(3, a));
  EXPECT_FALSE(pages.allocate(2, b));
  EXPECT_TRUE(b.pages.empty());
  EXPECT_EQ(pages.available(), 1);
  pages.release(a);
  EXPECT_EQ(pages.available(), 4);
  pages.check();
}

TEST(Pages, SharesTheFullPagesOfAPrefix) {
  Pages pages(8);
  const auto text = tokens(3 * kP + 5);
  PageTable a;
  ASSERT_TRUE(pages.allocate(4, a));
  pages.publish("t", text, static_cast<int>(text.size()), a);
  EXPECT_EQ(a.published, 3);  // the fourth is not full
  PageTable b;
  auto other = tokens(4 * kP);
  other[2 * kP] = -7;  // differs in the third page
  EXPECT_EQ(pages.match("t", other, 4 * kP, b), 2 * kP);
  EXPECT_EQ(b.pages[0], a.pages[0]);
  EXPECT_EQ(b.pages[1], a.pages[1]);
  pages.release(a);
  EXPECT_EQ(pages.held(), 2);
  pages.release(b);
  EXPECT_EQ(pages.held(), 0);
  EXPECT_EQ(pages.cached(), 3);
  pages.check();
}

TEST(Pages, LeavesTheLastTokenToCompute) {
  Pages pages(4);
  const auto text = tokens(2 * kP);
  PageTable a, b;
  ASSERT_TRUE(pages.allocate(2, a));
  pages.publish("t", text, 2 * kP, a);
  EXPECT_EQ(pages.match("t", text, 2 * kP - 1, b), kP);
}

TEST(Pages, NeverSharesBetweenTenants) {
  Pages pages(4);
  const auto text = tokens(2 * kP);
  PageTable a, b;
  ASSERT_TRUE(pages.allocate(2, a));
  pages.publish("alice", text, 2 * kP, a);
  EXPECT_EQ(pages.match("bob", text, 2 * kP, b), 0);
}

TEST(Pages, SecondPageMatchesOnlyAfterItsOwnFirst) {
  Pages pages(8);
  auto one = tokens(2 * kP), two = tokens(2 * kP);
  two[0] = 99;  // same second page after another first
  PageTable a, b, c;
  ASSERT_TRUE(pages.allocate(2, a));
  pages.publish("t", one, 2 * kP, a);
  ASSERT_TRUE(pages.allocate(1, b));
  pages.publish("t", two, kP, b);
  EXPECT_EQ(pages.match("t", two, 2 * kP, c), kP);
}

TEST(Pages, EqualContentEndsInOnePage) {
  Pages pages(4);
  const auto text = tokens(kP);
  PageTable a, b;
  ASSERT_TRUE(pages.allocate(1, a));
  ASSERT_TRUE(pages.allocate(1, b));
  pages.publish("t", text, kP, a);
  pages.publish("t", text, kP, b);  // computed side by side
  EXPECT_EQ(a.pages, b.pages);
  EXPECT_EQ(pages.held(), 1);
  pages.release(a);
  pages.release(b);
  EXPECT_EQ(pages.available(), 4);
  pages.check();
}

TEST(Pages, EvictsTheLeastRecentlyUsedAndTheDeepestFirst) {
  Pages pages(4);
  const auto older = tokens(2 * kP, 0), newer = tokens(2 * kP, 1000);
  PageTable a, b;
  ASSERT_TRUE(pages.allocate(2, a));
  pages.publish("t", older, 2 * kP, a);
  ASSERT_TRUE(pages.allocate(2, b));
  pages.publish("t", newer, 2 * kP, b);
  pages.release(a);
  pages.release(b);
  PageTable c;
  ASSERT_TRUE(pages.allocate(1, c));
  PageTable d;
  EXPECT_EQ(pages.match("t", older, 2 * kP, d), kP);  // its second page went, its first is there
  PageTable e;
  EXPECT_EQ(pages.match("t", newer, 2 * kP, e), 2 * kP);
  pages.release(c);
  pages.release(d);
  pages.release(e);
  pages.check();
}

// Promises: G2.
TEST(Pages, HeldPagesAreNeverEvicted) {
  Pages pages(3);
  const auto text = tokens(2 * kP);
  PageTable a, b, c;
  ASSERT_TRUE(pages.allocate(2, a));
  pages.publish("t", text, 2 * kP, a);
  ASSERT_TRUE(pages.allocate(1, b));
  EXPECT_FALSE(pages.allocate(1, c));
  pages.check();
}

// Random traffic from seeds: sequences that grow, share, end. After each step G1 holds, and at the end all is back.
// Promises: G1.
TEST(Pages, RandomTrafficLeaksNothing) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    Pages pages(24);
    struct Seq {
      std::vector<int32_t> tokens;
      PageTable table;
      std::string tenant;
    };
    std::vector<Seq> live;
    for (int step = 0; step < 400; ++step) {
      if (live.empty() || random.chance(0.4)) {
        Seq s;
        s.tenant = random.chance(0.5) ? "a" : "b";
        s.tokens = tokens(static_cast<int>(1 + random.below(5 * kP)), static_cast<int32_t>(random.below(2)));
        const int found = pages.match(s.tenant, s.tokens, static_cast<int>(s.tokens.size()) - 1, s.table);
        const int need = (static_cast<int>(s.tokens.size()) + kP - 1) / kP - found / kP;
        if (!pages.allocate(need, s.table)) {
          pages.release(s.table);
        } else {
          pages.publish(s.tenant, s.tokens, static_cast<int>(s.tokens.size()), s.table);
          live.push_back(std::move(s));
        }
      } else {
        const size_t i = random.below(live.size());
        pages.release(live[i].table);
        live.erase(live.begin() + static_cast<ptrdiff_t>(i));
      }
      pages.check();
    }
    for (Seq& s : live) pages.release(s.table);
    pages.check();
    EXPECT_EQ(pages.held(), 0);
  }
}

}  // namespace
}  // namespace verge::worker
