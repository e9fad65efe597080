#include "router/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

namespace verge::router {
namespace {

// Nodes that load and unload at once, each with its own Placement, all heard by all each second.
class Fleet {
 public:
  void add(const std::string& name, const std::string& region, int64_t memory, std::vector<std::pair<std::string, int64_t>> models) {
    NodeState state;
    state.region = region;
    state.memory_free_bytes = memory;
    for (const auto& [model, bytes] : models) state.models[model].bytes = bytes;
    states_[name] = state;
    alive_.insert(name);
    placements_.emplace(name, name);
  }
  void lose(const std::string& name) { alive_.erase(name); }
  void set(const std::string& name, const std::string& model, bool loaded) {
    ModelState& m = states_[name].models[model];
    if (m.loaded != loaded) states_[name].memory_free_bytes += loaded ? -m.bytes : m.bytes;
    m.loaded = loaded;
  }
  void run(int seconds, bool deaf = false) {
    for (int s = 0; s < seconds; ++s, now += 1000) {
      if (!deaf)
        for (const std::string& name : alive_) registry.heartbeat(name, states_[name], now);
      for (const std::string& name : alive_) {
        for (const PlacementAct& act : placements_.at(name).step(registry, wishes, demand, now)) {
          acts.push_back(name + (act.kind == PlacementAct::Kind::Load ? " +" : " -") + act.model);
          if (refuses != name) set(name, act.model, act.kind == PlacementAct::Kind::Load);
        }
      }
    }
  }
  std::vector<std::string> holders(const std::string& model) {
    std::vector<std::string> holders;
    for (const std::string& name : alive_)
      if (states_[name].models.count(model) && states_[name].models[model].loaded) holders.push_back(name);
    return holders;
  }
  Registry registry;
  std::vector<Wish> wishes;
  Demand demand;
  std::vector<std::string> acts;
  std::string refuses;
  Instant now = 0;

 private:
  std::map<std::string, NodeState> states_;
  std::set<std::string> alive_;
  std::map<std::string, Placement> placements_;
};

Wish wish(const std::string& model, int min, int max = 100) {
  Wish w;
  w.model = model, w.min = min, w.max = max;
  return w;
}

Fleet six() {
  Fleet fleet;
  for (int i = 0; i < 6; ++i) fleet.add("n" + std::to_string(i), i < 3 ? "eu" : "us", 10, {{"a", 4}, {"b", 4}, {"c", 8}});
  return fleet;
}

// Promises: P2.
TEST(Placement, MeetsTheMinimumExactlyAndWithoutALeader) {
  Fleet fleet = six();
  fleet.wishes = {wish("a", 2), wish("b", 3)};
  fleet.run(15);
  EXPECT_EQ(2u, fleet.holders("a").size());
  EXPECT_EQ(3u, fleet.holders("b").size());
  EXPECT_EQ(5u, fleet.acts.size()) << "nobody loads for nothing";
  fleet.run(200);
  EXPECT_EQ(5u, fleet.acts.size()) << "nothing flaps";
}

TEST(Placement, ReplacesAHolderThatDied) {
  Fleet fleet = six();
  fleet.wishes = {wish("a", 2)};
  fleet.run(15);
  const std::string gone = fleet.holders("a")[0];
  fleet.lose(gone);
  fleet.run(20);
  EXPECT_EQ(2u, fleet.holders("a").size());
  EXPECT_EQ(3u, fleet.acts.size());
}

// Promises: P2.
TEST(Placement, ANodeThatDoesNotDoAsItShouldStopsNothing) {
  Fleet probe = six();
  probe.wishes = {wish("a", 1)};
  probe.run(15);
  Fleet fleet = six();
  fleet.wishes = {wish("a", 1)};
  fleet.refuses = probe.holders("a")[0];
  fleet.run(60);
  ASSERT_EQ(1u, fleet.holders("a").size());
  EXPECT_NE(fleet.refuses, fleet.holders("a")[0]);
}

// Promises: P1.
TEST(Placement, PinsAndRegionsHold) {
  Fleet fleet = six();
  Wish pinned = wish("a", 0, 1);
  pinned.pins = {"n4", "n5"};
  Wish european = wish("b", 2);
  european.regions = {"eu"};
  fleet.set("n5", "b", true);  // not allowed there
  fleet.wishes = {pinned, european};
  fleet.run(100);
  EXPECT_EQ((std::vector<std::string>{"n4", "n5"}), fleet.holders("a")) << "a maximum below the pins removes none";
  EXPECT_EQ(2u, fleet.holders("b").size());
  for (const std::string& name : fleet.holders("b")) EXPECT_LT(name, "n3");
}

// Promises: P3, P5.
TEST(Placement, GivesUpWhatIsPastTheMaximum) {
  Fleet fleet = six();
  for (int i = 0; i < 5; ++i) fleet.set("n" + std::to_string(i), "a", true);
  fleet.wishes = {wish("a", 1, 2)};
  fleet.run(50);
  EXPECT_EQ(5u, fleet.holders("a").size()) << "not before it has been there a while";
  fleet.run(100);
  EXPECT_EQ(2u, fleet.holders("a").size());
}

// Promises: P4.
TEST(Placement, DemandBringsAModelNearOncePerRegion) {
  Fleet fleet = six();
  fleet.set("n0", "a", true);
  fleet.registry.set_place({"us"});
  fleet.run(1);
  fleet.registry.rtt("n0", 100);
  for (const char* name : {"n3", "n4", "n5"}) fleet.registry.rtt(name, 1);
  fleet.demand["us"]["a"] = 0.5;
  fleet.run(30);
  EXPECT_EQ(1u, fleet.holders("a").size()) << "50 ms a second are not worth it";
  fleet.demand["us"]["a"] = 5;
  fleet.run(60);
  ASSERT_EQ(2u, fleet.holders("a").size());
  EXPECT_GE(fleet.holders("a")[1], "n3");
  EXPECT_EQ(1u, fleet.acts.size());
}

// Promises: P4, P5.
TEST(Placement, DemandTakesThePlaceOfAnIdleModelThatNobodyWishes) {
  Fleet fleet;
  fleet.add("n0", "eu", 10, {{"a", 8}, {"b", 8}});
  fleet.set("n0", "a", true);
  fleet.demand["eu"]["b"] = 5;
  fleet.wishes = {wish("a", 1)};
  fleet.run(100);
  EXPECT_EQ(1u, fleet.holders("a").size()) << "it is wished for here";
  fleet.wishes.clear();
  fleet.run(100);
  EXPECT_EQ(1u, fleet.holders("b").size());
  fleet.demand["eu"]["a"] = 5;
  const size_t acts = fleet.acts.size();
  fleet.run(500);
  EXPECT_EQ(acts, fleet.acts.size()) << "two that are asked for alike do not swap for ever";
}

TEST(DemandMeter, CountsTheRateAndForgets) {
  DemandMeter meter;
  for (Instant now = 0; now < 200'000; now += 100) meter.asked("a", now);
  EXPECT_NEAR(10, meter.per_s(200'000).at("a"), 0.2);
  EXPECT_NEAR(5, meter.per_s(200'000 + limits::kDemandHalfMs).at("a"), 0.2);
  for (int i = 0; i < 5000; ++i) meter.asked("m" + std::to_string(i), 200'000);
  EXPECT_LE(meter.per_s(200'000).size(), limits::kDemandModels);
}

}  // namespace
}  // namespace verge::router
