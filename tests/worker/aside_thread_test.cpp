#include "worker/aside_thread.h"

#include <gtest/gtest.h>

namespace verge::worker {
namespace {

// Each job runs once, whoever comes first to it, and has run when need() returns.
TEST(AsideThread, EachJobRunsOnceAndBeforeItIsNeeded) {
  AsideThread aside;
  for (int round = 0; round < 2000; ++round) {
    const int count = 1 + round % 7;
    std::vector<int> ran(static_cast<size_t>(count));
    aside.begin(count, [&ran](int i) { ++ran[static_cast<size_t>(i)]; });
    for (int i = round % 2 ? count - 1 : 0; i >= 0 && i < count; i += round % 2 ? -1 : 1) {
      aside.need(i);
      ASSERT_EQ(ran[static_cast<size_t>(i)], 1);
    }
  }
}

TEST(AsideThread, WhatNobodyHasBegunRunsOnTheThreadThatNeedsIt) {
  AsideThread aside;
  std::atomic<bool> go = false;
  std::vector<std::thread::id> by(2);
  aside.begin(2, [&](int i) {
    if (i == 0) go.wait(false);
    by[static_cast<size_t>(i)] = std::this_thread::get_id();
  });
  std::thread other([&] { aside.need(0); });  // one of the two is at job 0
  aside.need(1);                              // never waits for it
  go = true;
  go.notify_all();
  other.join();
  aside.need(0);
  EXPECT_NE(by[0], std::thread::id());
}

}  // namespace
}  // namespace verge::worker
