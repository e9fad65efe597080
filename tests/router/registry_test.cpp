#include "router/registry.h"

#include <gtest/gtest.h>

#include "support/limits.h"

namespace verge::router {
namespace {

const Error kGone{Code::WorkerGone, "x"};

void fail_times(Registry& registry, const std::string& name, int times, Instant now, const Error& error = kGone) {
  for (int i = 0; i < times; ++i) {
    registry.started(name, "m");
    registry.ended(name, "m", &error, now);
  }
}
Registry with_nodes(int count, bool local = false) {
  Registry registry;
  for (int i = 0; i < count; ++i) registry.add("n" + std::to_string(i), local, NodeState{}, 0);
  return registry;
}

TEST(Registry, EjectsAfterFailuresInARowAndLongerEachTime) {
  Registry registry = with_nodes(4);
  fail_times(registry, "n0", limits::kEjectFailures - 1, 0);
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), 0));
  fail_times(registry, "n0", 1, 0);
  EXPECT_TRUE(registry.ejected(*registry.find("n0"), limits::kEjectMs - 1));
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), limits::kEjectMs));
  Instant now = limits::kEjectMs;
  for (int i = 0; i < 4; ++i) registry.heartbeat("n" + std::to_string(i), NodeState{}, now);
  fail_times(registry, "n0", limits::kEjectFailures, now);
  EXPECT_EQ(now + 2 * limits::kEjectMs, registry.find("n0")->ejected_until);
}

TEST(Registry, ASuccessStartsTheCountAnew) {
  Registry registry = with_nodes(4);
  for (int i = 0; i < 10; ++i) {
    fail_times(registry, "n0", limits::kEjectFailures - 1, 0);
    registry.started("n0", "m");
    registry.ended("n0", "m", nullptr, 0);
  }
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), 0));
}

TEST(Registry, RequestsThatAreWrongOrRefusedNeverEject) {
  Registry registry = with_nodes(4);
  for (Code code : {Code::InvalidInput, Code::ContextOverflow, Code::Busy, Code::Timeout, Code::Aborted, Code::NoSuchModel}) fail_times(registry, "n0", 100, 0, Error{code, ""});
  EXPECT_FALSE(registry.ejected(*registry.find("n0"), 0));
}

TEST(Registry, NeverEjectsMoreThanHalfNorTheLastNorALocalOne) {
  Registry registry = with_nodes(4);
  for (int i = 0; i < 4; ++i) fail_times(registry, "n" + std::to_string(i), 50, 0);
  int ejected = 0;
  for (const auto& [name, node] : registry.nodes()) ejected += registry.ejected(node, 1);
  EXPECT_EQ(2, ejected);
  Registry alone = with_nodes(1);
  fail_times(alone, "n0", 50, 0);
  EXPECT_FALSE(alone.ejected(*alone.find("n0"), 1));
  Registry local = with_nodes(3, true);
  fail_times(local, "n0", 50, 0);
  EXPECT_FALSE(local.ejected(*local.find("n0"), 1));
}

TEST(Registry, CountsWhatIsUnderWay) {
  Registry registry = with_nodes(1);
  for (int i = 0; i < 2048; ++i) registry.started("n0", "m");
  EXPECT_EQ(2048, registry.find("n0")->under_way.at("m"));
  for (int i = 0; i < 2048; ++i) registry.ended("n0", "m", nullptr, 0);
  EXPECT_TRUE(registry.find("n0")->under_way.empty());
  registry.started("unknown", "m");
  registry.ended("unknown", "m", &kGone, 0);
  EXPECT_EQ(1u, registry.nodes().size());
}

TEST(Registry, ForgetsSilentNodesOnceTheyAreIdle) {
  Registry registry = with_nodes(2);
  registry.add("local", true, NodeState{}, 0);
  registry.started("n1", "m");
  EXPECT_EQ(0, registry.forget(limits::kNodeForgottenMs));
  EXPECT_EQ(1, registry.forget(limits::kNodeForgottenMs + 1));
  EXPECT_EQ(nullptr, registry.find("n0"));
  registry.ended("n1", "m", nullptr, 0);
  EXPECT_EQ(1, registry.forget(limits::kNodeForgottenMs + 1));
  EXPECT_NE(nullptr, registry.find("local"));
}

TEST(Registry, LearnsFirstTokenTimes) {
  Registry registry = with_nodes(1);
  registry.first_token("n0", "m", 1000);
  EXPECT_DOUBLE_EQ(1000, registry.find("n0")->first_token_ms.at("m"));
  for (int i = 0; i < 50; ++i) registry.first_token("n0", "m", 100);
  EXPECT_NEAR(100, registry.find("n0")->first_token_ms.at("m"), 1);
}

}  // namespace
}  // namespace verge::router
