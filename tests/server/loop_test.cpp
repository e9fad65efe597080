#include "server/loop.h"

#include <gtest/gtest.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <vector>

#include "support/coroutines.h"
#include "support/finally.h"
#include "support/spawn.h"

namespace verge::server {
namespace {

namespace asio = boost::asio;

// Something that coroutines use, and that says when it went.
struct Part {
  explicit Part(std::vector<std::string>& t) : told(t) {}
  ~Part() { told.push_back("part"); }
  std::vector<std::string>& told;
};

asio::awaitable<void> wait_for(Loop& loop, int ms, Part& part, const char* what) {
  asio::steady_timer timer(loop.executor(), std::chrono::milliseconds(ms));
  const Finally leave{[&part, what] { part.told.push_back(what); }};
  boost::system::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

bool settle(Loop& loop, int limit_ms) {
  bool settled = false;
  spawn(
      loop.executor(), "settling",
      [&]() -> asio::awaitable<void> {
        auto settling = loop.settle("settling", limit_ms);
        settled = co_await std::move(settling);
      },
      [&](std::exception_ptr) { loop.stop(); });
  loop.run();
  return settled;
}

// Promises: LO1.
TEST(LoopTest, SettlesWhenTheLastCoroutineHasEnded) {
  std::vector<std::string> told;
  Loop loop;
  Part part(told);
  spawn(loop.executor(), "a short one", [&] { return wait_for(loop, 30, part, "short"); });
  spawn(loop.executor(), "a long one", [&] { return wait_for(loop, 60, part, "long"); });
  EXPECT_EQ(coroutines_of(loop.executor().context()).size(), 2u);
  EXPECT_TRUE(settle(loop, 60'000));
  EXPECT_EQ(told, (std::vector<std::string>{"short", "long"}));
  EXPECT_TRUE(coroutines_of(loop.executor().context()).empty());
}

// Promises: LO2.
TEST(LoopTest, OneThatNeverEndsGoesBeforeThePartsItUses) {
  std::vector<std::string> told;
  {
    Loop loop;
    Part part(told);
    spawn(loop.executor(), "for ever", [&] { return wait_for(loop, 3'600'000, part, "cut"); });
    EXPECT_FALSE(settle(loop, 20));
    loop.abandon();
    EXPECT_TRUE(coroutines_of(loop.executor().context()).empty());
  }
  EXPECT_EQ(told, (std::vector<std::string>{"cut", "part"}));
}

// Promises: LO3.
TEST(LoopTest, ACancelledHandlerDoesNotKeepAPart) {
  std::vector<std::string> told;
  {
    Loop loop;
    auto part = std::make_shared<Part>(told);
    asio::steady_timer timer(loop.executor(), std::chrono::hours(1));
    timer.async_wait([part, &told](boost::system::error_code) { told.push_back("handler"); });
    part.reset();
    EXPECT_TRUE(told.empty());
  }
  EXPECT_EQ(told, (std::vector<std::string>{"handler", "part"}));
}

}  // namespace
}  // namespace verge::server
