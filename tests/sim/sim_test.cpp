// A few hundred worlds in every test run; CI runs thousands (sim/ci.sh).
#include <gtest/gtest.h>

#include "sim/world.h"

namespace verge::sim {
namespace {

Report run(Config config, Policy policy = Policy::Ours) {
  config.policy = policy;
  return World(config).run();
}

TEST(Simulation, InvariantsHoldInSmallWorlds) {
  Report total;
  for (uint64_t seed = 1; seed <= 200; ++seed) total.add(run(small_world(seed)));
  for (const std::string& violation : total.violations) ADD_FAILURE() << violation;
  for (const std::string& why : total.whys) ADD_FAILURE() << why;
  EXPECT_EQ(0, total.avoidable) << "no request fails while a machine has room";
  EXPECT_GT(total.faults, 200) << "the faults must be felt";
  EXPECT_GT(total.retries, 100);
  EXPECT_GT(total.refused, 1000) << "allocations must be felt";
  EXPECT_LE(total.overshoot, 1);
}

TEST(Simulation, TheSameSeedIsTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Report one = run(small_world(seed)), two = run(small_world(seed));
    EXPECT_EQ(one.hash, two.hash) << seed;
    EXPECT_EQ(one.events, two.events) << seed;
    EXPECT_NE(one.hash, run(small_world(seed + 1000)).hash) << seed;
  }
}

TEST(Simulation, IsNearTheOracleInSmallWorlds) {
  Report ours, oracle;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    ours.add(run(small_world(seed)));
    oracle.add(run(small_world(seed), Policy::Oracle));
  }
  EXPECT_LT(ours.mean(), 1.15 * oracle.mean());
  EXPECT_LT(ours.quantile(0.99), 1.3 * oracle.quantile(0.99));
}

TEST(Simulation, IsNearTheOracleAndFarFromTheSimplePolicies) {
  Report ours, oracle, blind;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Config config = full_size(seed);
    config.nodes = 40, config.regions = 10, config.models = 8, config.seconds = 6, config.max_requests = 4000;
    ours.add(run(config));
    oracle.add(run(config, Policy::Oracle));
    blind.add(run(config, Policy::RoundRobin));
  }
  EXPECT_LT(ours.mean(), 1.15 * oracle.mean());
  EXPECT_LT(ours.mean(), 0.75 * blind.mean());
  EXPECT_EQ(0, ours.avoidable);
}

// One tenant sends most of three times what all machines can do.
TEST(Simulation, AFloodDelaysItself) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Config config = small_world(seed);
    config.flood = true;
    config.load = 0.9;
    config.max_requests = 5000;
    const Report report = run(config);
    for (const std::string& violation : report.violations) ADD_FAILURE() << violation;
  }
}

}  // namespace
}  // namespace verge::sim
