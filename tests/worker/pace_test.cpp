#include "worker/pace.h"

#include <gtest/gtest.h>

#include "support/limits.h"
#include "support/overload_limits.h"

namespace verge::worker {
namespace {

// A machine whose steps take 5 ms and 0.25 ms more for each row of an answer, 0.1 ms of a prompt.
int64_t took_us(int answers, int prompts) { return 5000 + 250 * answers + 100 * prompts; }

Pace measured() {
  Pace pace;
  for (int round = 0; round < 20; ++round) {
    for (int rows : {1, 2, 4, 8, 16, 32, 64}) pace.observe(rows, 0, took_us(rows, 0));
    pace.observe(8, 100, took_us(8, 100));
  }
  return pace;
}

// Promises: PA1.
TEST(Pace, PromptsBesideAnswersFillAStepToItsTarget) {
  const Pace pace = measured();
  for (int answers : {1, 3, 8, 20}) {
    const int64_t step_us = took_us(answers, pace.prompt_rows(answers));
    EXPECT_NEAR(static_cast<double>(step_us), limits::kPrefillStepTargetMs * 1000.0, 2000) << answers;
  }
  // Where the answers alone take as long, prompts get as much again rather than nothing.
  EXPECT_NEAR(static_cast<double>(took_us(200, 0) * 0 + 100 * pace.prompt_rows(200)), static_cast<double>(took_us(200, 0)), 8000);
}

TEST(Pace, ARowThatCostsMoreMakesTheNextStepShorter) {
  Pace pace = measured();
  const int before = pace.prompt_rows(4);
  for (int i = 0; i < 4; ++i) pace.observe(4, pace.prompt_rows(4), took_us(4, 0) + 400 * pace.prompt_rows(4));
  EXPECT_LT(pace.prompt_rows(4), before / 3);
}

TEST(Pace, UnknownPromptsBeginSmall) {
  const Pace pace;
  EXPECT_LE(pace.prompt_rows(4), 64);
  EXPECT_GE(pace.prompt_rows(0), 1);
}

// Promises: PA2.
TEST(Pace, TwoTenantsGetShortSteps) {
  const Pace pace = measured();
  const int two = pace.shared_rows(2), four = pace.shared_rows(4);
  EXPECT_LE(static_cast<double>(took_us(two, 0)), 1.05 * limits::kShareStepTimes * static_cast<double>(took_us(1, 0)));
  EXPECT_GT(two, 8);
  EXPECT_GT(four, two);
  EXPECT_EQ(pace.shared_rows(1), limits::kBatchTokens);
  EXPECT_GE(pace.shared_rows(100), 64);
}

// A flood came first, so that only full steps have been measured: short ones are tried.
TEST(Pace, ShortStepsAreTriedWhereOnlyLongOnesAreKnown) {
  Pace pace;
  for (int i = 0; i < 10; ++i) pace.observe(64, 0, took_us(64, 0));
  EXPECT_LE(pace.shared_rows(2), 4);
  for (int i = 0; i < 10; ++i) pace.observe(pace.shared_rows(2), 0, took_us(pace.shared_rows(2), 0));
  EXPECT_GE(pace.shared_rows(2), 4);
}

}  // namespace
}  // namespace verge::worker
