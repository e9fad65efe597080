#include "cluster/members.h"

#include <gtest/gtest.h>

#include "support/limits.h"
#include "support/random.h"

namespace verge::cluster {
namespace {

Heartbeat beat(const std::string& name, uint64_t boot, uint64_t sequence, const std::string& address = "10.0.0.1:1") {
  Heartbeat out;
  out.name = name;
  out.region = "eu";
  out.address = address;
  out.boot = boot;
  out.sequence = sequence;
  return out;
}

template <class T>
std::vector<T> only(const Members::Actions& actions) {
  std::vector<T> out;
  for (const auto& action : actions)
    if (const T* one = std::get_if<T>(&action)) out.push_back(*one);
  return out;
}

TEST(Members, JoinsOnTheFirstHeartbeatAndTellsEachNewOne) {
  Members members;
  auto first = members.heartbeat(beat("a", 1, 1), 0);
  ASSERT_EQ(only<Members::Join>(first).size(), 1u);
  EXPECT_EQ(only<Members::Join>(first)[0].address, "10.0.0.1:1");
  EXPECT_EQ(only<Members::State>(first).size(), 1u);
  EXPECT_EQ(only<Members::Probe>(first).size(), 1u);
  EXPECT_TRUE(only<Members::Join>(members.heartbeat(beat("a", 1, 2), 1000)).empty());
  EXPECT_EQ(members.find("a")->last.sequence, 2u);
}

// Promises: M3.
TEST(Members, OldAndRepeatedMessagesAreNoSignOfLife) {
  Members members;
  members.heartbeat(beat("a", 5, 10), 0);
  EXPECT_TRUE(only<Members::State>(members.heartbeat(beat("a", 5, 9), 100)).empty());
  EXPECT_TRUE(only<Members::State>(members.heartbeat(beat("a", 5, 10), 100)).empty());
  EXPECT_TRUE(only<Members::State>(members.heartbeat(beat("a", 4, 99), 100)).empty());
  EXPECT_EQ(members.find("a")->heard_at, 0);
}

// Promises: M3.
TEST(Members, ALowerBootTakesTheNameOnceTheOtherIsDead) {
  Members members;
  members.heartbeat(beat("a", 5, 10), 0);
  const Instant later = limits::kNodeDeadMs + 1;
  EXPECT_EQ(only<Members::State>(members.heartbeat(beat("a", 4, 1), later)).size(), 1u);
  EXPECT_EQ(members.find("a")->last.boot, 4u);
}

TEST(Members, SilenceCutsOnceAndForgetsLater) {
  Members members;
  members.heartbeat(beat("a", 1, 1), 0);
  EXPECT_TRUE(only<Members::Cut>(members.tick(limits::kNodeDeadMs)).empty());
  EXPECT_EQ(only<Members::Cut>(members.tick(limits::kNodeDeadMs + 1)).size(), 1u);
  EXPECT_TRUE(only<Members::Cut>(members.tick(limits::kNodeDeadMs + 2)).empty());
  EXPECT_EQ(only<Members::Leave>(members.tick(limits::kNodeForgottenMs + 1)).size(), 1u);
  EXPECT_EQ(members.find("a"), nullptr);
}

TEST(Members, WhatIsUnderWayKeepsANodeKnown) {
  Members members;
  members.heartbeat(beat("a", 1, 1), 0);
  members.started("a");
  EXPECT_TRUE(only<Members::Leave>(members.tick(limits::kNodeForgottenMs + 1)).empty());
  members.ended("a");
  EXPECT_EQ(only<Members::Leave>(members.tick(limits::kNodeForgottenMs + 2)).size(), 1u);
}

// A partition between here and the node, which the bus reaches by another way.
// Promises: M2.
TEST(Members, ANodeThatIsHeardButNotReachedIsNoUse) {
  Members members;
  members.heartbeat(beat("a", 1, 1), 0);
  members.probed("a", beat("a", 1, 2), 3, 10);
  Members::Actions cut;
  for (Instant now = 1000, sequence = 3; now <= limits::kPathLostMs + 1000; now += 1000, ++sequence) {
    auto heard = members.heartbeat(beat("a", 1, static_cast<uint64_t>(sequence)), now);
    auto failed = members.probe_failed("a", now);
    for (auto& action : only<Members::Cut>(failed)) cut.push_back(action);
  }
  EXPECT_EQ(cut.size(), 1u);
  // The bus still tells of it; the router is not told.
  EXPECT_TRUE(only<Members::State>(members.heartbeat(beat("a", 1, 100), 6000)).empty());
  EXPECT_FALSE(members.reachable(*members.find("a"), 6000));
  // The first probe that comes through brings it back.
  EXPECT_EQ(only<Members::State>(members.probed("a", beat("a", 1, 101), 3, 6500)).size(), 1u);
  EXPECT_TRUE(members.reachable(*members.find("a"), 6500));
}

// Promises: M1.
TEST(Members, ProbesAloneKeepANodeAlive) {
  Members members;
  members.heartbeat(beat("a", 1, 1), 0);
  uint64_t sequence = 2;
  int probes = 0;
  members.probed("a", beat("a", 1, sequence), 2, 0);
  for (Instant now = 0; now < 60'000; now += 100) {
    for (const auto& probe : only<Members::Probe>(members.tick(now))) {
      ++probes;
      members.probed(probe.name, beat("a", 1, ++sequence), 2, now);
    }
    ASSERT_TRUE(members.reachable(*members.find("a"), now)) << now;
  }
  EXPECT_GT(probes, 40);
}

TEST(Members, ARestartCutsWhatWasUnderWay) {
  Members members;
  members.heartbeat(beat("a", 1, 50), 0);
  auto actions = members.heartbeat(beat("a", 2, 1), 500);
  EXPECT_EQ(only<Members::Cut>(actions).size(), 1u);
  EXPECT_EQ(only<Members::State>(actions).size(), 1u);
}

TEST(Members, AMovedNodeGetsANewConnection) {
  Members members;
  members.heartbeat(beat("a", 1, 1), 0);
  auto actions = members.heartbeat(beat("a", 2, 1, "10.0.0.2:1"), 500);
  EXPECT_EQ(only<Members::Leave>(actions).size(), 1u);
  ASSERT_EQ(only<Members::Join>(actions).size(), 1u);
  EXPECT_EQ(only<Members::Join>(actions)[0].address, "10.0.0.2:1");
}

TEST(Members, TheLastWordTakesANodeOffAtOnce) {
  Members members;
  members.heartbeat(beat("a", 1, 1), 0);
  Heartbeat bye = beat("a", 1, 2);
  bye.leaving = true;
  EXPECT_EQ(only<Members::Leave>(members.heartbeat(bye, 100)).size(), 1u);
  EXPECT_EQ(members.find("a"), nullptr);
}

TEST(Members, AnAddressThatAnswersForAnotherIsToldAndLeftAlone) {
  Members members;
  members.heartbeat(beat("a", 1, 1), 0);
  auto actions = members.probed("a", beat("b", 1, 1), 2, 100);
  EXPECT_EQ(only<Members::Warn>(actions).size(), 1u);
  EXPECT_EQ(members.find("b"), nullptr);
}

TEST(Members, RememberedNodesAreProbedAndNotTakenForAlive) {
  Members members;
  auto actions = members.remember("a", "eu", "10.0.0.1:1", 0);
  EXPECT_EQ(only<Members::Join>(actions).size(), 1u);
  EXPECT_FALSE(members.reachable(*members.find("a"), 0));
  EXPECT_EQ(only<Members::Probe>(members.tick(0)).size(), 1u);
  members.probed("a", beat("a", 7, 3), 2, 50);
  EXPECT_TRUE(members.reachable(*members.find("a"), 50));
}

// Promises: M4.
TEST(Members, NeverMoreThanTheLimit) {
  Members members;
  Members::Actions warnings;
  for (size_t i = 0; i < limits::kClusterNodes + 50; ++i)
    for (const auto& one : only<Members::Warn>(members.remember("n" + std::to_string(i), "eu", "10.0.0.1:1", 0))) warnings.push_back(one);
  EXPECT_EQ(members.all().size(), limits::kClusterNodes);
  EXPECT_EQ(only<Members::Warn>(members.heartbeat(beat("late", 1, 1), 1)).size(), 1u);
}

// Whatever comes in whatever order: joins and leaves alternate, and nothing is said of a node that is not there.
TEST(Members, RandomHistoriesAreConsistent) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    Members members;
    std::map<std::string, bool> here;
    Instant now = 0;
    for (int step = 0; step < 400; ++step) {
      now += static_cast<Instant>(random.below(1500));
      const std::string name(1, static_cast<char>('a' + random.below(3)));
      Members::Actions actions;
      Heartbeat message = beat(name, 1 + random.below(3), random.below(100), "10.0.0." + std::to_string(1 + random.below(2)) + ":1");
      message.leaving = random.chance(0.05);
      switch (random.below(5)) {
        case 0: actions = members.heartbeat(message, now); break;
        case 1: actions = members.probed(name, message, 2, now); break;
        case 2: actions = members.probe_failed(name, now); break;
        case 3: actions = members.connection_lost(name, now); break;
        default: actions = members.tick(now);
      }
      for (const auto& action : actions) {
        if (const auto* join = std::get_if<Members::Join>(&action)) {
          ASSERT_FALSE(here[join->name]) << "seed " << seed;
          here[join->name] = true;
        } else if (const auto* leave = std::get_if<Members::Leave>(&action)) {
          ASSERT_TRUE(here[leave->name]) << "seed " << seed;
          here[leave->name] = false;
        } else if (const auto* state = std::get_if<Members::State>(&action)) {
          ASSERT_TRUE(here[state->name]) << "seed " << seed;
        } else if (const auto* probe = std::get_if<Members::Probe>(&action)) {
          ASSERT_TRUE(here[probe->name]) << "seed " << seed;
        }
      }
    }
  }
}

}  // namespace
}  // namespace verge::cluster
