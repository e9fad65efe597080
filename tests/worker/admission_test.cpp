#include "worker/admission.h"

#include <gtest/gtest.h>

#include <deque>

#include "support/overload_limits.h"
#include "support/random.h"

namespace verge::worker {
namespace {

// Promises: AD1.
TEST(Admission, LetsAllInUntilAPaceIsKnownAndTheRoomIsFull) {
  Admission admission({.length = 100, .time_ms = 30'000});
  uint64_t id = 1;
  for (int i = 0; i < 100 + limits::kSequences; ++i) ASSERT_TRUE(admission.enter(id++, "t", 100, 0, 0));
  const auto refused = admission.enter(id, "t", 100, 0, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
}

// One request at a time, each of which takes long: that says nothing of how many go side by side, so a burst is let in.
TEST(Admission, ABurstAfterSingleRequestsIsLetIn) {
  Admission admission({.length = 512, .time_ms = 30'000});
  uint64_t id = 1;
  int64_t now = 0;
  for (int i = 0; i < 10; ++i, ++id) {
    ASSERT_TRUE(admission.enter(id, "light", 36, 0, now));
    admission.begun(id, now += 3000);
    admission.left(id, now += 500);
  }
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(admission.enter(id++, "heavy", 140, 0, now)) << i;
}

// A server of ten requests a second that answers in 100 ms, and callers who wait for ten seconds and leave: answers in time.
double goodput(double load, uint64_t seed) {
  Random random(seed);
  Admission admission({.length = 1 << 20, .time_ms = 30'000});
  struct Call {
    uint64_t id;
    int64_t came_ms;
  };
  std::deque<Call> line;
  int good = 0;
  uint64_t id = 1;
  for (int64_t now = 0; now < 60'000; ++now) {
    if (random.chance(load / 100) && admission.enter(id, "t", 100, 0, now)) line.push_back({id, now});
    ++id;
    while (!line.empty() && now - line.front().came_ms > 10'000) {
      admission.left(line.front().id, now);
      line.pop_front();
    }
    if (now % 100 != 0 || line.empty()) continue;
    const Call call = line.front();
    line.pop_front();
    admission.begun(call.id, now);
    admission.left(call.id, now + 100);
    good += now + 100 - call.came_ms <= 10'000;
  }
  return good / 60.0 / 10;
}

TEST(Admission, OverloadCostsNoAnswers) {
  for (double load : {1.0, 3.0, 5.0, 10.0})
    for (uint64_t seed = 0; seed < 5; ++seed) EXPECT_GE(goodput(load, seed), load > 1 ? 0.97 : 0.9) << load << " times, seed " << seed;
}

struct Loaded {
  Admission admission{{.length = 1000, .time_ms = 30'000}};
  uint64_t id = 1;
  int64_t now = 0;
  int refused = 0;
  Loaded() {  // a flood of ten times the pace
    for (int i = 0; i < 2000; ++i, now += 10) {
      if (admission.enter(id, "flood", 100, 0, now)) line.push_back(id);
      else ++refused;
      ++id;
      if (i % 10 != 0 || line.empty()) continue;
      admission.begun(line.front(), now);
      admission.left(line.front(), now);
      line.pop_front();
    }
  }
  std::deque<uint64_t> line;
};

// Promises: AD2.
TEST(Admission, AFloodIsRefusedWithATimeAndAnotherTenantIsNot) {
  Loaded loaded;
  EXPECT_GT(loaded.refused, 100);
  const auto flood = loaded.admission.enter(loaded.id, "flood", 100, 0, loaded.now);
  ASSERT_FALSE(flood);
  EXPECT_EQ(flood.error().code, Code::Busy);
  EXPECT_GT(flood.error().retry_after_ms, limits::kRetrySoonMs);
  EXPECT_LE(flood.error().retry_after_ms, limits::kRetryAfterMaxMs);
  EXPECT_TRUE(loaded.admission.enter(loaded.id, "light", 100, 0, loaded.now));
}

// Promises: AD2.
TEST(Admission, ADeadlineThatCannotBeMetIsRefusedAtOnce) {
  Loaded loaded;
  Admission& admission = loaded.admission;
  const double wait = admission.wait_ms("light", 2000);
  EXPECT_GT(wait, 500);
  EXPECT_LT(wait, 4000);
  EXPECT_FALSE(admission.enter(loaded.id, "light", 2000, loaded.now + static_cast<int64_t>(wait) - 100, loaded.now));
  EXPECT_TRUE(admission.enter(loaded.id, "light", 2000, loaded.now + static_cast<int64_t>(wait) + 1000, loaded.now));
}

TEST(Admission, WhoLeavesMakesRoom) {
  Loaded loaded;
  for (uint64_t id = 1; id < loaded.id; ++id) loaded.admission.left(id, loaded.now);
  EXPECT_EQ(loaded.admission.here(), 0);
  EXPECT_TRUE(loaded.admission.enter(loaded.id, "flood", 100, 0, loaded.now));
}

}  // namespace
}  // namespace verge::worker
