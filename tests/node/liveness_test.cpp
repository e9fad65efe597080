#include "node/liveness.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

namespace verge::node {
namespace {

using State = Liveness::State;
using Work = std::vector<protocol::Progress>;

constexpr int64_t kTick = 1'000;

struct LivenessTest : ::testing::Test {
  LivenessTest() {
    life.started(0);
    life.ready();
    life.tick(now);
  }
  // Asks and, where there is an answer, hears it; then a tick.
  State round(const std::optional<Work>& answer, int64_t ms = kTick) {
    life.asked();
    if (answer) life.heard(*answer);
    return life.tick(now += ms);
  }
  // Milliseconds of such rounds until the state is reached; -1: never within an hour.
  int64_t until(State wanted, const std::function<std::optional<Work>(int)>& answer) {
    const int64_t began = now;
    for (int i = 0; i < 3'600; ++i)
      if (round(answer(i)) == wanted) return now - began;
    return -1;
  }
  static Work step(uint64_t number, bool busy = true, int64_t expected_ms = 10) { return {{"step", number, busy, expected_ms}}; }

  Liveness life;
  int64_t now = 1'000'000;
};

TEST_F(LivenessTest, OneThatAnswersAndStepsIsWell) {
  EXPECT_EQ(until(State::Suspect, [](int i) { return step(static_cast<uint64_t>(i)); }), -1);
}

TEST_F(LivenessTest, OneThatAnswersAndHasNothingToDoIsWell) {
  EXPECT_EQ(until(State::Suspect, [](int) { return step(7, false); }), -1);
}

TEST_F(LivenessTest, NoAnswerMakesItSuspectAndThenHung) {
  EXPECT_EQ(until(State::Suspect, [](int) { return std::nullopt; }), kHungFloorMs / kSuspectPart);
  EXPECT_FALSE(life.why().empty());
  EXPECT_EQ(until(State::Hung, [](int) { return std::nullopt; }), kHungFloorMs - kHungFloorMs / kSuspectPart);
}

// Promises: H2.
TEST_F(LivenessTest, OneAnswerMakesItWellAgain) {
  (void)until(State::Suspect, [](int) { return std::nullopt; });
  EXPECT_EQ(round(step(1)), State::Well);
  EXPECT_EQ(until(State::Suspect, [](int) { return std::nullopt; }), kHungFloorMs / kSuspectPart);
}

// Idle processes are asked rarely: silence counts from the question on.
TEST_F(LivenessTest, SilenceThatNobodyBrokeIsNone) {
  life.heard({});
  for (int i = 0; i < 3'600; ++i) EXPECT_EQ(life.tick(now += kTick), State::Well);
}

TEST_F(LivenessTest, AStepThatDoesNotEndIsHungWhileItsProcessAnswers) {
  EXPECT_EQ(until(State::Suspect, [](int) { return step(7); }), kHungFloorMs / kSuspectPart);
  EXPECT_EQ(until(State::Hung, [](int) { return step(7); }), kHungFloorMs - kHungFloorMs / kSuspectPart);
  EXPECT_EQ(round(step(8)), State::Well);
}

TEST_F(LivenessTest, ALargeStepMayTakeLong) {
  EXPECT_EQ(until(State::Hung, [](int) { return step(7, true, 60'000); }), kHungTimes * 60'000);
}

// The slowest machine that is right: each unit takes ten times what was expected, and half of the questions are answered late.
TEST_F(LivenessTest, ASlowMachineIsNeverHung) {
  EXPECT_EQ(until(State::Hung, [](int i) { return i % 2 ? std::optional<Work>() : step(static_cast<uint64_t>(i / 25), true, 2'500); }), -1);
}

// Promises: H2.
TEST_F(LivenessTest, AnyKindOfWorkCounts) {
  const auto answer = [](int i) { return Work{{"step", static_cast<uint64_t>(i), true, 10}, {"prepare", 3, true, 10}}; };
  EXPECT_EQ(until(State::Hung, answer), kHungFloorMs);
  EXPECT_NE(life.why().find("prepare"), std::string::npos);
}

// H1: the clock jumped, for the machine was suspended or the server was stopped.
// Promises: H1.
TEST_F(LivenessTest, TimeThatNobodyLivedThroughDoesNotCount) {
  (void)round(std::nullopt);
  EXPECT_EQ(round(std::nullopt, 8 * 3'600'000), State::Well);
  EXPECT_EQ(round(step(1)), State::Well);
  EXPECT_EQ(round(step(1), 8 * 3'600'000), State::Well);
}

TEST_F(LivenessTest, ALoadIsHungWithoutALineOfItsProgress) {
  life.started(2'000'000'000);
  life.asked();  // nobody answers yet
  for (int i = 0; i < 3'600; ++i) {
    if (i % 20 == 0) life.load_line();
    ASSERT_EQ(life.tick(now += kTick) == State::Hung, false);
  }
  const int64_t began = now;
  life.load_line();
  while (life.tick(now += kTick) != State::Hung) ASSERT_LT(now - began, 3'600'000);
  EXPECT_EQ(now - began, kHungFloorMs + 100'000);
}

TEST_F(LivenessTest, ANewProcessBeginsWell) {
  (void)until(State::Hung, [](int) { return step(7); });
  life.started(0);
  life.ready();
  EXPECT_EQ(round(step(7)), State::Well);
}

}  // namespace
}  // namespace verge::node
