#include "accounts/shared_counts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "accounts/rate.h"

namespace verge::accounts {
namespace {

using Verdict = Allowance::Verdict;
constexpr int64_t kStart = 1'000'000;

// Gateways that tell each other their counts, each message in up to kHearMs - kTellMs, and clients that want more than they may.
struct World {
  struct Gateway {
    SharedCounts elsewhere{1};
    RateWindow window;
    Allowance rate, places;
    std::vector<int64_t> running;  // since when
    int64_t tell_at = 0;
  };
  struct Letter {
    int64_t at;
    size_t from, to;
    SharedCounts::Told told;
  };
  World(size_t gateways, unsigned seed) : random(seed), all(gateways) {
    for (size_t i = 0; i < gateways; ++i)
      for (size_t j = 0; j < gateways; ++j)
        if (i != j) all[i].elsewhere.heard(std::to_string(j), 1, {}, kStart);
    for (Gateway& gateway : all) {
      gateway.elsewhere.connected(true, kStart - 10'000);
      gateway.tell_at = kStart + static_cast<int64_t>(random() % kTellMs);
    }
  }
  void step() {
    ++now;
    for (size_t i = 0; i < all.size(); ++i) {
      if (now < all[i].tell_at) continue;
      all[i].tell_at += kTellMs;
      SharedCounts::Told told;
      told["acc"].under_way = static_cast<int64_t>(all[i].running.size());
      told["acc"].in_minute["task"] = all[i].window.total(now);
      for (size_t j = 0; j < all.size(); ++j)
        if (i != j) letters.push_back({now + static_cast<int64_t>(random() % (kHearMs - kTellMs)), i, j, told});
    }
    std::erase_if(letters, [&](const Letter& letter) {
      if (letter.at > now || (cut && (letter.from == 0) != (letter.to == 0))) return letter.at <= now;
      all[letter.to].elsewhere.heard(std::to_string(letter.from), 1, letter.told, now);
      return true;
    });
    for (Gateway& gateway : all) gateway.elsewhere.connected(!(cut && &gateway == &all[0]), now);
  }
  bool take_rate(size_t i, int64_t limit) {
    Gateway& gateway = all[i];
    if (gateway.rate.ask(gateway.window.total(now), gateway.elsewhere.in_minute("acc", "task", limit, now), limit, now) != Verdict::Granted) return false;
    gateway.window.take(static_cast<int>(limit), now);
    gateway.rate.taken(now);
    return true;
  }
  bool take_place(size_t i, int64_t limit) {
    Gateway& gateway = all[i];
    const auto own = static_cast<int64_t>(gateway.running.size());
    if (gateway.places.ask(own, gateway.elsewhere.under_way("acc", limit, now), limit, now) != Verdict::Granted) return false;
    gateway.places.taken(now);
    gateway.running.push_back(now);
    return true;
  }
  int64_t running() const {
    int64_t sum = 0;
    for (const Gateway& gateway : all) sum += static_cast<int64_t>(gateway.running.size());
    return sum;
  }

  std::mt19937 random;
  std::vector<Gateway> all;
  std::vector<Letter> letters;
  bool cut = false;  // the first from the others
  int64_t now = kStart;
};

// N1
// Promises: SC1.
TEST(SharedCounts, AMinuteHasItsLimitOverAllGatewaysForAnySeed) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    World world(2 + seed % 4, seed);
    const auto limit = static_cast<int64_t>(1 + world.random() % 60);
    const unsigned eagerness = 1 + world.random() % 40;
    std::vector<int64_t> through;
    for (int ms = 0; ms < 70'000; ++ms) {
      world.step();
      if (world.random() % eagerness == 0 && world.take_rate(world.random() % world.all.size(), limit)) through.push_back(world.now);
      const auto minute = std::count_if(through.begin(), through.end(), [&](int64_t at) { return at > world.now - 60'000; });
      ASSERT_LE(minute, limit + static_cast<int64_t>(world.all.size()) - 1) << "seed " << seed;
    }
    EXPECT_GE(static_cast<int64_t>(through.size()), limit) << "it gets what it may, seed " << seed;
  }
}

// Promises: SC1.
TEST(SharedCounts, RequestsAtOnceHaveTheirLimitForAnySeed) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    World world(2 + seed % 4, seed);
    const auto limit = static_cast<int64_t>(1 + world.random() % 40);
    int64_t most = 0;
    for (int ms = 0; ms < 15'000; ++ms) {
      world.step();
      for (int i = 0; i < 3; ++i) world.take_place(world.random() % world.all.size(), limit);
      if (world.random() % 20 == 0) {
        auto& running = world.all[world.random() % world.all.size()].running;
        if (!running.empty()) {
          const size_t which = world.random() % running.size();
          auto& gateway = *std::ranges::find_if(world.all, [&](const auto& g) { return &g.running == &running; });
          gateway.places.given_back(running[which], world.now);
          running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
        }
      }
      most = std::max(most, world.running());
      ASSERT_LE(world.running(), limit + static_cast<int64_t>(world.all.size()) - 1) << "seed " << seed;
    }
    EXPECT_GE(most, limit) << "seed " << seed;
  }
}

// N2
// Promises: SC2.
TEST(SharedCounts, WhoIsCutOffHasItsPart) {
  World world(3, 1);
  world.cut = true;
  for (int ms = 0; ms < 5'000; ++ms) world.step();
  int64_t through[3] = {};
  for (int ms = 0; ms < 20'000; ++ms) {
    world.step();
    for (size_t i = 0; i < 3; ++i) through[i] += world.take_rate(i, 30);
  }
  EXPECT_EQ(through[0], 10);
  EXPECT_GE(through[1] + through[2], 20);
  EXPECT_LE(through[1] + through[2], 22);
  EXPECT_EQ(world.all[0].elsewhere.under_way("acc", 1, world.now).count, 0) << "at least one";
  EXPECT_GE(world.all[0].elsewhere.under_way("acc", 0, world.now).count, -1);
}

TEST(SharedCounts, WhoWasDeadForAMinuteHasNoPartAndWhoLeftNeither) {
  SharedCounts counts(1);
  counts.connected(true, 0);
  counts.heard("b", 1, {{"acc", {2, {{"task", 5}}}}}, 10);
  counts.heard("c", 1, {}, 10);
  EXPECT_EQ(counts.gateways(2'500), 3);
  counts.left("c", 2'500);
  EXPECT_EQ(counts.gateways(2'600), 2);
  counts.connected(true, 65'000);
  EXPECT_EQ(counts.gateways(65'000), 1);
  EXPECT_EQ(counts.in_minute("acc", "task", 10, 65'000).count, 0);
}

// N3
// Promises: SC3.
TEST(SharedCounts, ARestartIsNoWayAroundALimit) {
  SharedCounts counts(1);
  counts.connected(true, 0);
  counts.heard("b", 1, {{"acc", {2, {{"task", 5}}}}}, 5'000);
  counts.heard("b", 2, {{"acc", {1, {{"task", 1}}}}}, 6'000);
  EXPECT_EQ(counts.in_minute("acc", "task", 100, 6'100).count, 6);
  EXPECT_EQ(counts.under_way("acc", 100, 6'100).count, 1);
}

TEST(SharedCounts, BeforeItHasListenedTheOthersOfTheLastRunHaveTheirParts) {
  SharedCounts counts(3);
  EXPECT_EQ(counts.in_minute("acc", "task", 30, 0).count, 20);
  EXPECT_EQ(counts.in_minute("acc", "task", 2, 0).count, 0);
  counts.connected(true, 100);
  EXPECT_EQ(counts.in_minute("acc", "task", 30, 200).count, 20);
  EXPECT_EQ(counts.in_minute("acc", "task", 30, 2'200).count, 0);
}

TEST(Allowance, AloneItIsThePlainLimit) {
  Allowance allowance;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(allowance.ask(i, {0, 1}, 5, 1'000), Verdict::Granted);
    allowance.taken(1'000);
  }
  EXPECT_EQ(allowance.ask(5, {0, 1}, 5, 1'000), Verdict::Refused);
  EXPECT_EQ(allowance.ask(0, {0, 1}, 0, 1'000), Verdict::Refused);
}

}  // namespace
}  // namespace verge::accounts
