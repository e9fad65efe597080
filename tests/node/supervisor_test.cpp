#include "node/supervisor.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

using S = Supervisor;

template <class T>
bool has(const std::vector<S::Action>& actions) {
  for (const auto& action : actions)
    if (std::holds_alternative<T>(action)) return true;
  return false;
}
int64_t wake(const std::vector<S::Action>& actions) {
  for (const auto& action : actions)
    if (const auto* w = std::get_if<S::WakeAt>(&action)) return w->ms;
  return -1;
}
S ready(int64_t now) {
  S s("m");
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Want{}, now)));
  EXPECT_TRUE(has<S::ReleaseWaiters>(s.step(S::LoadReady{}, now)));
  return s;
}

// Promises: V1.
TEST(V1_OneLoad, ManyWantsSpawnOnce) {
  S s("m");
  int spawns = 0;
  for (int i = 0; i < 100; ++i) spawns += has<S::Spawn>(s.step(S::Want{}, i));
  EXPECT_EQ(spawns, 1);
  EXPECT_EQ(s.state(), S::State::Loading);
}

TEST(Supervisor, CrashWhileWantedRestartsAfterBackOff) {
  S s = ready(1000);
  auto actions = s.step(S::Exited{"signal 9"}, 2000);
  EXPECT_EQ(s.state(), S::State::Backoff);
  EXPECT_EQ(wake(actions), 2000 + kBackoffFirstMs);
  EXPECT_TRUE(s.step(S::Want{}, 2010).empty());
  EXPECT_FALSE(has<S::Spawn>(s.step(S::Tick{}, 2020)));
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Tick{}, 2000 + kBackoffFirstMs)));
}

TEST(Supervisor, CrashWhileNobodyWaitsStaysCold) {
  S s = ready(0);
  const int64_t at = wake(s.step(S::Exited{"signal 9"}, 10));
  EXPECT_TRUE(s.step(S::Tick{}, at).empty());
  EXPECT_EQ(s.state(), S::State::Cold);
}

// Promises: V3.
TEST(Supervisor, ThirdCrashInAMinuteQuarantinesAndTellsTheWaiters) {
  S s("m");
  int64_t now = 0;
  for (int crash = 1; crash < kCrashesToQuarantine; ++crash) {
    (void)s.step(S::Want{}, now);
    const int64_t at = wake(s.step(S::Exited{"signal 11"}, now));
    ASSERT_GE(at, now);
    (void)s.step(S::Want{}, now);
    ASSERT_TRUE(has<S::Spawn>(s.step(S::Tick{}, now = at)));
  }
  EXPECT_TRUE(has<S::FailWaiters>(s.step(S::Exited{"signal 11"}, now)));
  EXPECT_EQ(s.state(), S::State::Quarantined);
  auto refused = s.step(S::Want{}, now + 1);
  ASSERT_TRUE(has<S::FailWaiters>(refused));
  EXPECT_GT(std::get<S::FailWaiters>(refused[0]).error.retry_after_ms, 0);
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Want{}, now + kCrashWindowMs + 1)));
}

// Promises: V3.
TEST(V3_LoadFailure, TellsWaitersAndIsNoCrash) {
  S s("m");
  (void)s.step(S::Want{}, 0);
  EXPECT_TRUE(has<S::FailWaiters>(s.step(S::LoadFailed{fail(Code::LoadFailed, "truncated")}, 5)));
  EXPECT_TRUE(s.step(S::Exited{"exit 3"}, 6).empty());
  EXPECT_EQ(s.state(), S::State::Cold);
  EXPECT_EQ(s.crashes(), 0);
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Want{}, 7)));
}

TEST(V3_LoadFailure, AskedAnewBeforeTheExitIsTriedAgain) {
  S s("m");
  (void)s.step(S::Want{}, 0);
  (void)s.step(S::LoadFailed{fail(Code::LoadFailed, "truncated")}, 5);
  EXPECT_TRUE(s.step(S::Want{}, 6).empty());
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Exited{"exit 3"}, 7)));
}

TEST(Supervisor, StoppedModelThatIsWantedAgainComesBack) {
  S s = ready(0);
  EXPECT_TRUE(has<S::Terminate>(s.step(S::Stop{}, 1)));
  EXPECT_TRUE(s.step(S::Want{}, 2).empty());
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Exited{"exit 0"}, 3)));
  EXPECT_EQ(s.crashes(), 0);
}

// Promises: V4.
TEST(V4_Hung, AHungProcessIsKilledOnceAndStartedAnew) {
  S s = ready(0);
  (void)s.step(S::Suspected{true}, 5);
  EXPECT_TRUE(s.suspect());
  EXPECT_TRUE(has<S::Kill>(s.step(S::Hung{"no answer"}, 10)));
  EXPECT_TRUE(s.hung());
  EXPECT_FALSE(has<S::Kill>(s.step(S::Hung{"no answer"}, 11)));
  (void)s.step(S::Want{}, 12);
  const int64_t at = wake(s.step(S::Exited{"signal 9"}, 20));
  EXPECT_FALSE(s.suspect());
  (void)s.step(S::Want{}, 21);
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Tick{}, at)));
}

TEST(V4_Hung, SuspicionEndsWithAnAnswerAndIsOfReadyOnesOnly) {
  S s("m");
  (void)s.step(S::Want{}, 0);
  (void)s.step(S::Suspected{true}, 0);
  EXPECT_FALSE(s.suspect());
  (void)s.step(S::LoadReady{}, 0);
  (void)s.step(S::Suspected{true}, 1);
  EXPECT_TRUE(s.suspect());
  EXPECT_EQ(s.state(), S::State::Ready);
  (void)s.step(S::Suspected{false}, 2);
  EXPECT_FALSE(s.suspect());
}

// Promises: V4.
TEST(V4_Hung, ALoadThatHangsIsTriedOnceMoreAndThenTold) {
  S s("m");
  int64_t now = 0;
  (void)s.step(S::Want{}, now);
  EXPECT_TRUE(has<S::Kill>(s.step(S::Hung{"nothing loaded"}, now += 60'000)));
  const int64_t at = wake(s.step(S::Exited{"signal 9"}, now));
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Tick{}, now = at)));
  EXPECT_TRUE(has<S::Kill>(s.step(S::Hung{"nothing loaded"}, now += 60'000)));
  EXPECT_TRUE(has<S::FailWaiters>(s.step(S::Exited{"signal 9"}, now)));
  EXPECT_EQ(s.state(), S::State::Cold);
  EXPECT_TRUE(has<S::Spawn>(s.step(S::Want{}, now)));
}

// Promises: V4.
TEST(V4_Hung, OneThatDoesNotEndWhenToldIsKilled) {
  S s = ready(0);
  auto actions = s.step(S::Stop{}, 100);
  EXPECT_TRUE(has<S::Terminate>(actions));
  const int64_t at = wake(actions);
  EXPECT_EQ(at, 100 + kStopMs);
  EXPECT_FALSE(has<S::Kill>(s.step(S::Tick{}, at - 1)));
  EXPECT_TRUE(has<S::Kill>(s.step(S::Tick{}, at)));
  (void)s.step(S::Exited{"signal 9"}, at);
  EXPECT_EQ(s.state(), S::State::Cold);
  EXPECT_EQ(s.crashes(), 0);
}

}  // namespace
}  // namespace verge::node
