// What a coroutine throws stays in it, whoever cancels it and when.
#include "support/spawn.h"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <latch>
#include <stdexcept>
#include <thread>

#include "support/log.h"
#include "support/pool.h"

namespace verge {
namespace {

namespace asio = boost::asio;

struct SpawnTest : ::testing::Test {
  SpawnTest() { log::configure(log::Level::Off, log::Format::Text, "test"); }
  asio::io_context io{1};
  asio::cancellation_signal cancel;
  int ends = 0;
  std::exception_ptr failure;
  Ended ended() {
    return [this](std::exception_ptr e) {
      ++ends;
      failure = e;
    };
  }
  asio::awaitable<void> pause() {
    asio::steady_timer timer(io, std::chrono::hours(1));
    co_await timer.async_wait(asio::use_awaitable);
  }
};

// Promises: SP1, SP3.
TEST_F(SpawnTest, AnExceptionIsToldAndTheLoopGoesOn) {
  const auto coroutine = []() -> asio::awaitable<void> {
    throw std::runtime_error("bad");
    co_return;
  };
  const Start no_coroutine = []() -> asio::awaitable<void> { throw std::runtime_error("no coroutine yet"); };
  spawn(io.get_executor(), "a", coroutine, ended());
  spawn(io.get_executor(), "b", no_coroutine, ended());
  spawn(io.get_executor(), "c", coroutine);
  spawn(io.get_executor(), "d", coroutine, [](std::exception_ptr) { throw std::runtime_error("of the end"); });
  EXPECT_NO_THROW(io.run());
  EXPECT_EQ(ends, 2);
  EXPECT_TRUE(failure);
}

// Asio's own co_spawn throws here, out of the loop.
// Promises: SP2, SP3.
TEST_F(SpawnTest, CancelledBeforeItWaitedForAnything) {
  asio::post(io, [&] {
    spawn(
        io.get_executor(), "a", cancel.slot(),
        [&]() -> asio::awaitable<void> {
          cancel.emit(asio::cancellation_type::terminal);
          co_return;
        },
        ended());
  });
  EXPECT_NO_THROW(io.run());
  EXPECT_EQ(ends, 1);
}

// Promises: SP1.
TEST_F(SpawnTest, CancellationIsNoFailure) {
  spawn(io.get_executor(), "a", cancel.slot(), [&] { return pause(); }, ended());
  asio::post(io, [&] { cancel.emit(asio::cancellation_type::terminal); });
  EXPECT_NO_THROW(io.run());
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(is_cancellation(failure));
}

TEST_F(SpawnTest, TheLoopGoesOnAfterAHandlerThatThrew) {
  int ran = 0;
  asio::post(io, [] { throw std::runtime_error("of a handler"); });
  asio::post(io, [&] { ++ran; });
  EXPECT_NO_THROW(run_loop(io));
  EXPECT_EQ(ran, 1);
}

TEST_F(SpawnTest, AnInterruptedCoroutineEndsBeforeTheOneThatWaits) {
  Interruptible work(io.get_executor(), "work");
  bool gone = false;
  std::optional<bool> whole;
  spawn(
      io.get_executor(), "a",
      [&]() -> asio::awaitable<void> {
        whole = co_await work.run([&]() -> asio::awaitable<void> {
          struct Gone {
            bool& flag;
            ~Gone() { flag = true; }
          } mark{gone};
          co_await pause();
        });
        EXPECT_TRUE(gone);
      },
      ended());
  asio::post(io, [&] { work.interrupt(); });
  io.run();
  EXPECT_EQ(ends, 1);
  EXPECT_FALSE(failure);
  EXPECT_EQ(whole, false);
}

TEST_F(SpawnTest, AnInterruptibleIsCancelledWithTheOneThatWaits) {
  Interruptible work(io.get_executor(), "work");
  spawn(io.get_executor(), "a", cancel.slot(), [&]() -> asio::awaitable<void> { co_await work.run([&] { return pause(); }); }, ended());
  asio::post(io, [&] { cancel.emit(asio::cancellation_type::terminal); });
  io.run();
  EXPECT_TRUE(is_cancellation(failure));
}

TEST_F(SpawnTest, AnInterruptibleThrowsWhatItsWorkThrows) {
  Interruptible work(io.get_executor(), "work");
  const Start bad = []() -> asio::awaitable<void> {
    throw std::runtime_error("bad");
    co_return;
  };
  spawn(io.get_executor(), "a", [&]() -> asio::awaitable<void> { co_await work.run(bad); }, ended());
  io.run();
  EXPECT_TRUE(failure && !is_cancellation(failure));
}

struct PoolTest : SpawnTest {
  // Runs work in a coroutine and keeps what it came to.
  void start(std::function<Result<int>(const Pool::Abandoned&)> work) {
    spawn(
        io.get_executor(), "a", cancel.slot(), [this, work]() -> asio::awaitable<void> { outcome = co_await pool.run<int>(work); }, ended());
  }
  Pool pool{1};
  std::optional<Result<int>> outcome;
};

TEST_F(PoolTest, GivesWhatTheWorkGives) {
  start([](const Pool::Abandoned&) { return Result<int>(7); });
  io.run();
  EXPECT_EQ(**outcome, 7);
  EXPECT_EQ(pool.load().ended, 1u);
}

// Promises: PO1.
TEST_F(PoolTest, WhatTheWorkThrowsIsAnError) {
  start([](const Pool::Abandoned&) -> Result<int> { throw std::runtime_error("bad"); });
  io.run();
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().message, "bad");
}

// Promises: PO2.
TEST_F(PoolTest, ACancelledCoroutineGoesOnAtOnceAndTheWorkIsTold) {
  std::latch begun(1), told(1);
  start([&](const Pool::Abandoned& abandoned) -> Result<int> {
    begun.count_down();
    while (!abandoned()) std::this_thread::yield();
    told.count_down();
    return 1;
  });
  io.poll();
  begun.wait();
  cancel.emit(asio::cancellation_type::terminal);
  while (ends == 0) io.run_one();
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().code, Code::Aborted);
  told.wait();
  io.run();
}

// Promises: PO2.
TEST_F(PoolTest, WorkThatNobodyWaitsForNeverBegins) {
  std::latch go(1);
  std::atomic<bool> second = false;
  spawn(io.get_executor(), "first", [&]() -> asio::awaitable<void> {
    const std::function<Result<int>(const Pool::Abandoned&)> first = [&](const Pool::Abandoned&) -> Result<int> {
      go.wait();
      return 1;
    };
    co_await pool.run<int>(first);
  });
  start([&](const Pool::Abandoned&) -> Result<int> {
    second = true;
    return 2;
  });
  io.poll();
  cancel.emit(asio::cancellation_type::terminal);
  while (ends == 0) io.run_one();
  go.count_down();
  io.run();
  EXPECT_FALSE(second);
}

// Promises: PO3.
TEST_F(SpawnTest, APoolThatGoesWaitsForWhatRunsAndDropsTheRest) {
  std::latch begun(1);
  std::atomic<bool> ended = false, second = false;
  auto pool = std::make_unique<Pool>(1);
  const std::function<Result<int>(const Pool::Abandoned&)> long_work = [&](const Pool::Abandoned& abandoned) -> Result<int> {
    begun.count_down();
    while (!abandoned()) std::this_thread::yield();
    ended = true;
    return 1;
  };
  const std::function<Result<int>(const Pool::Abandoned&)> never = [&](const Pool::Abandoned&) -> Result<int> {
    second = true;
    return 2;
  };
  for (const auto& work : {long_work, never}) {
    spawn(io.get_executor(), "work", [&pool, work]() -> asio::awaitable<void> { co_await pool->run<int>(work); });
  }
  io.poll();
  begun.wait();
  pool.reset();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(second);
  io.poll();
}

}  // namespace
}  // namespace verge
