#include "worker/speech_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "support/random.h"

namespace verge::worker {
namespace {

using Ids = std::vector<uint64_t>;
const auto kOneRow = [](uint64_t) { return 1; };

TEST(SpeechBatch, WindowsThatWaitAreEncodedTogetherAndStepTogether) {
  SpeechBatch batch({8, 4, 100, 512});
  for (uint64_t id = 1; id <= 6; ++id) batch.submit(id, "t", 10);
  EXPECT_EQ(batch.admit(), (Ids{1, 2, 3, 4}));
  EXPECT_EQ(batch.step(kOneRow).size(), 4u);
  EXPECT_EQ(batch.admit(), (Ids{5, 6}));
  EXPECT_EQ(batch.step(kOneRow).size(), 6u);
  for (uint64_t id = 1; id <= 6; ++id) batch.remove(id);
  EXPECT_TRUE(batch.idle());
}

TEST(SpeechBatch, AClipThatComesJoinsTheNextStep) {
  SpeechBatch batch({8, 4, 100, 512});
  batch.submit(1, "t", 10);
  batch.admit();
  EXPECT_EQ(batch.step(kOneRow), Ids{1});
  batch.submit(2, "t", 10);
  EXPECT_EQ(batch.admit(), Ids{2});
  EXPECT_EQ(batch.step(kOneRow).size(), 2u);
}

// One place: long clips of many windows and a short one of one.
// Promises: SB2.
TEST(SpeechBatch, AShortClipWaitsForOneWindowOfEachLongOneAtMost) {
  SpeechBatch batch({1, 1, 100, 512});
  for (uint64_t id = 1; id <= 3; ++id) batch.submit(id, "t", 10);
  Ids order;
  for (int window = 0; window < 12; ++window) {
    if (window == 4) batch.submit(99, "t", 10);
    const auto admitted = batch.admit();
    ASSERT_EQ(admitted.size(), 1u);
    const uint64_t id = admitted.front();
    order.push_back(id);
    batch.remove(id);
    if (id != 99) batch.submit(id, "t", 10);  // its next window
  }
  EXPECT_EQ((Ids{order.begin(), order.begin() + 4}), (Ids{1, 2, 3, 1}));
  const auto at = std::ranges::find(order, 99u) - order.begin();
  EXPECT_LE(at, 4 + 3);
}

// Promises: SB2.
TEST(SpeechBatch, ATenantWithManyClipsTakesNoMoreTurnsThanOneWithOne) {
  SpeechBatch batch({1, 1, 100, 512});
  for (uint64_t id = 1; id <= 20; ++id) batch.submit(id, "many", 10);
  batch.submit(99, "one", 10);
  int turns = 0;
  for (int window = 0; window < 20; ++window) {
    const uint64_t id = batch.admit().at(0);
    turns += id == 99;
    batch.remove(id);
    batch.submit(id, id == 99 ? "one" : "many", 10);
  }
  EXPECT_GE(turns, 9);
}

TEST(SpeechBatch, AWideSearchIsNotPassedByNarrowOnesForever) {
  SpeechBatch batch({8, 8, 100, 512});
  batch.submit(1, "t", 40);
  batch.submit(2, "t", 90);  // does not fit beside 1
  batch.submit(3, "t", 10);
  EXPECT_EQ(batch.admit(), Ids{1});
  EXPECT_TRUE(batch.admit().empty());
  batch.remove(1);
  EXPECT_EQ(batch.admit(), (Ids{2, 3}));
}

// Promises: SB3.
TEST(SpeechBatch, RowsThatFoundNoRoomAreFirstInTheNextStep) {
  SpeechBatch batch({8, 8, 100, 100});
  for (uint64_t id = 1; id <= 4; ++id) batch.submit(id, "t", 10);
  batch.admit();
  const auto rows = [](uint64_t) { return 40; };
  std::map<uint64_t, int> steps;
  Ids before;
  for (int step = 0; step < 10; ++step) {
    const auto chosen = batch.step(rows);
    ASSERT_EQ(chosen.size(), 2u);
    for (uint64_t id : chosen) {
      EXPECT_EQ(std::ranges::count(before, id), 0);
      ++steps[id];
    }
    before = chosen;
  }
  for (uint64_t id = 1; id <= 4; ++id) EXPECT_EQ(steps[id], 5);
}

// Clips of random lengths and widths come, go and are cancelled anywhere: places and pages are never taken twice, everybody ends.
// Promises: SB1.
TEST(SpeechBatch, NothingIsLostOrTakenTwice) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    uint64_t state = seed;
    const auto draw = [&](uint64_t below) { return (state = mix64(state)) % below; };
    const SpeechBatch::Room room{1 + static_cast<int>(draw(4)), 1 + static_cast<int>(draw(3)), 60, 64};
    SpeechBatch batch(room);
    struct Clip { int windows, pages, steps_left; bool placed; };
    std::map<uint64_t, Clip> clips;
    uint64_t next = 1;
    for (int turn = 0; turn < 300 || !clips.empty(); ++turn) {
      ASSERT_LT(turn, 3000);
      if (turn < 300 && draw(3) == 0) {
        clips[next] = {1 + static_cast<int>(draw(4)), 1 + static_cast<int>(draw(60)), 0, false};
        batch.submit(next, draw(2) ? "a" : "b", clips[next].pages);
        ++next;
      }
      if (!clips.empty() && draw(10) == 0) {
        auto it = std::next(clips.begin(), static_cast<std::ptrdiff_t>(draw(clips.size())));
        batch.remove(it->first);
        clips.erase(it);
      }
      const auto admitted = batch.admit();
      ASSERT_LE(static_cast<int>(admitted.size()), room.encoder_windows);
      for (uint64_t id : admitted) {
        ASSERT_FALSE(clips.at(id).placed);
        clips.at(id).placed = true;
        clips.at(id).steps_left = 1 + static_cast<int>(draw(5));
      }
      int pages = 0, places = 0;
      for (const auto& [id, clip] : clips) {
        if (clip.placed) ++places, pages += clip.pages;
      }
      ASSERT_LE(places, room.windows);
      ASSERT_LE(pages, room.pages);
      ASSERT_EQ(batch.running(), places);
      for (uint64_t id : batch.step([&](uint64_t i) { return 1 + static_cast<int>(i % 20); })) {
        Clip& clip = clips.at(id);
        ASSERT_TRUE(clip.placed);
        if (--clip.steps_left > 0) continue;
        batch.remove(id);
        clip.placed = false;
        if (--clip.windows == 0) clips.erase(id);
        else batch.submit(id, draw(2) ? "a" : "b", clip.pages);
      }
    }
    EXPECT_TRUE(batch.idle());
  }
}

}  // namespace
}  // namespace verge::worker
