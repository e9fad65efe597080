// The end of a server: who is told in which order, and how long each part may take.
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <utility>

#include "cluster/bus.h"
#include "server/parts.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/log.h"

namespace verge::server {
namespace asio = boost::asio;
namespace {

constexpr const char* kEnding = "draining";
constexpr int kWorkersMs = 3'000, kTheirModelsMs = 1'000, kModelsMs = 2'000;
// Also where the end is hurried: below `verge host` are processes that it has to end itself.
constexpr int kLeastWorkersMs = 1'000;
// For what is under way without a client: a look at the disk, a question to the bus.
constexpr int kSettleMs = 2'000;

}  // namespace

void Server::Parts::watch_signals() {
  hangups.emplace(loop.executor(), [this] { reload(); });
  signals.add(SIGINT);
  signals.add(SIGTERM);
  wait_for_signal();
}

void Server::Parts::wait_for_signal() {
  signals.async_wait([this](boost::system::error_code error, int number) {
    if (!error) on_signal(number);
  });
}

// First signal: drain. Second: stop now.
void Server::Parts::on_signal(int number) {
  wait_for_signal();
  if (draining) {
    if (!hurried_by) log::warn("stopping at once");
    hurried_by = number;
    return hurry();
  }
  const int delay_s = options.gateway() ? drain_delay.seconds(number, monotonic_ms()) : 0;
  log::info("draining",
            {{"signal", number}, {"delay_s", delay_s}, {"limit_s", options.drain_s}});
  begin_end(delay_s);
}

void Server::Parts::begin_end(int delay_s) {
  if (std::exchange(draining, true)) return;
  watchdog.arm(delay_s + 2 * options.drain_s + kEndS);
  spawn(
      loop.executor(), kEnding, [this, delay_s] { return end(delay_s); },
      [this](std::exception_ptr) {
        over = true;
        loop.stop();
      });
}

void Server::Parts::hurry() {
  if (std::exchange(hurried, true)) return;
  watchdog.arm(kHurriedEndS);
  if (waiting) waiting->interrupt();
}

// One part's end within its limit, or at once where the end is hurried. A part that fails does not
// keep the others from ending.
asio::awaitable<void> Server::Parts::step(const char* what, int limit_ms, Step work) {
  try {
    if (!hurried) {
      Interruptible running(loop.executor(), what);
      waiting = &running;
      const Finally leave{[this] { waiting = nullptr; }};
      Start start = [work, limit_ms] { return work(limit_ms); };
      auto run = running.run(std::move(start));
      const bool whole = co_await std::move(run);
      if (whole) co_return;
    }
    auto last = work(0);
    co_await std::move(last);
  } catch (const std::exception& error) {
    log::error("a part of the server does not end as it should",
               {{"part", what}, {"error", error.what()}});
  }
}

asio::awaitable<void> Server::Parts::end(int delay_s) {
  const int drain_ms = options.drain_s * 1000;
  if (membership) membership->stop_taking();
  if (placing) placing->stop();
  if (delay_s > 0 && listener) {
    listener->close_after_answers();
    co_await step("the delay of a drain", delay_s * 1000, [this](int ms) -> asio::awaitable<void> {
      asio::steady_timer delay(loop.executor(), std::chrono::milliseconds(ms));
      co_await delay.async_wait(asio::use_awaitable);
    });
  }
  if (listener)
    co_await step("draining clients", drain_ms, [this](int ms) { return listener->drain(ms); });
  if (hosting)
    co_await step("ending Workers", kWorkersMs,
                  [this](int ms) { return hosting->stop(std::max(ms, kLeastWorkersMs)); });
  if (inner)
    co_await step("draining Workers", kTheirModelsMs, [this](int ms) { return inner->drain(ms); });
  stop_telling();
  if (membership)
    co_await step("draining machines", drain_ms,
                  [this](int ms) { return membership->drain(ms); });
  ending_inspections = true;
  if (node)
    co_await step("ending models", kModelsMs, [this](int ms) { return node->stop(ms); });
  hangups.reset();
  traces.reset();
  if (membership) membership->bus().stop();
  auto settling = loop.settle(kEnding, kSettleMs);
  settled = co_await std::move(settling);
}

void Server::Parts::stop_telling() {
  if (care) care->stop();
  if (account_gossip) account_gossip->stop();
  if (limit_gossip) limit_gossip->stop();
  if (usage) usage->stop();
}

void Server::Parts::run_to_the_end() {
  begin_end(0);
  hurry();
  loop.run();
}

}  // namespace verge::server
