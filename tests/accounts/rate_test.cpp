#include "accounts/rate.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace verge::accounts {
namespace {

constexpr int64_t kStart = 1'790'000'000'000;

TEST(RateWindow, LetsThroughTheLimitAndThenSaysWhen) {
  RateWindow window;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(window.take(3, kStart + i * 1000), 0);
  const int64_t wait = window.take(3, kStart + 5000);
  EXPECT_GT(wait, 54'000);
  EXPECT_LE(wait, 61'000);
  EXPECT_GT(window.take(3, kStart + 5000 + wait - 1), 0) << "a moment before";
  EXPECT_EQ(window.take(3, kStart + 5000 + wait), 0);
  EXPECT_GT(window.take(3, kStart + 5000 + wait), 0) << "one left, one came";
}

TEST(RateWindow, ARefusedRequestDoesNotCount) {
  RateWindow window;
  EXPECT_EQ(window.take(1, kStart), 0);
  for (int i = 1; i < 60; ++i) EXPECT_GT(window.take(1, kStart + i * 1000), 0);
  EXPECT_EQ(window.take(1, kStart + 61'000), 0);
}

TEST(RateWindow, NoneAndAClockThatJumps) {
  RateWindow window;
  EXPECT_GT(window.take(0, kStart), 0);
  EXPECT_EQ(window.take(1, kStart), 0);
  EXPECT_GT(window.take(1, kStart - 3'600'000), 0) << "set back";
  EXPECT_EQ(window.take(1, kStart + 3'600'000), 0);
  EXPECT_FALSE(window.idle(kStart + 3'600'000));
  EXPECT_TRUE(window.idle(kStart + 3'700'000));
}

// Against the definition: in no 60 seconds more than the limit, and never a refusal where 62 seconds had room.
TEST(RateWindow, NeverMoreInAMinuteForAnySeed) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const int limit = 1 + static_cast<int>(random() % 50);
    RateWindow window;
    std::deque<int64_t> through;
    int64_t now = kStart + random() % 1000;
    for (int i = 0; i < 2000; ++i) {
      now += static_cast<int64_t>(random() % (random() % 10 == 0 ? 20'000 : 2'000));
      const int64_t wait = window.take(limit, now);
      while (!through.empty() && through.front() <= now - 62'000) through.pop_front();
      if (wait == 0) {
        through.push_back(now);
        const auto minute = std::count_if(through.begin(), through.end(), [&](int64_t at) { return at > now - 60'000; });
        ASSERT_LE(minute, limit) << "seed " << seed;
      } else {
        ASSERT_GE(static_cast<int>(through.size()), limit) << "refused without need, seed " << seed;
        ASSERT_LE(wait, 61'000);
      }
    }
  }
}

}  // namespace
}  // namespace verge::accounts
