#include "engine/backends/cpu/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace verge::engine::cpu {
namespace {

TEST(Threads, RunCallsEveryThreadOnceAndSeesItsWrites) {
  for (int count : {1, 2, 3, 8}) {
    Threads threads(count);
    EXPECT_EQ(threads.count(), count);
    for (int round = 0; round < 200; ++round) {
      std::vector<int> calls(static_cast<size_t>(count));  // plain writes: ordered by run() or a data race
      threads.run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
      EXPECT_EQ(calls, std::vector<int>(static_cast<size_t>(count), 1));
    }
  }
}

TEST(Threads, ParallelForCoversEachItemOnce) {
  Threads threads(3);
  for (int64_t items : {0, 1, 7, 100, 1001}) {
    for (int64_t grain : {1, 4, 2000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(items));
      threads.parallel_for(items, grain, [&](int64_t begin, int64_t end) {
        EXPECT_LE(begin, end);
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (const auto& count : seen) EXPECT_EQ(count, 1);
    }
  }
}

TEST(Threads, BarrierSeparatesPhasesAndRestartsTheCounter) {
  for (int count : {1, 2, 4}) {
    Threads threads(count);
    for (int round = 0; round < 50; ++round) {
      std::vector<int> squares(64);
      std::vector<int64_t> sums(static_cast<size_t>(count));
      std::atomic<int> second{0};
      threads.run([&](int thread) {
        for (int64_t i; (i = threads.take(1)) < 64;) squares[static_cast<size_t>(i)] = static_cast<int>(i * i);
        threads.barrier();
        for (int square : squares) sums[static_cast<size_t>(thread)] += square;  // written by all threads before the barrier
        while (threads.take(1) < 10) ++second;
        threads.barrier();
      });
      for (int64_t sum : sums) EXPECT_EQ(sum, 85344);
      EXPECT_EQ(second, 10);
    }
  }
}

TEST(Threads, EndsWhileWorkersSleepOrSpin) {
  for (int i = 0; i < 20; ++i) {
    Threads threads(4);
    if (i % 2) threads.run([](int) {});
  }
}

}  // namespace
}  // namespace verge::engine::cpu
