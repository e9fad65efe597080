#include "server/loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <map>
#include <string>

#include "support/clock.h"
#include "support/coroutines.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::server {
namespace asio = boost::asio;
namespace {

constexpr int kLookMs = 5;
// A cancelled handler may cancel others: so often they all get their turn.
constexpr int kLastRounds = 4;

std::map<std::string, int> others(asio::io_context& context, const char* self) {
  auto running = coroutines_of(context);
  if (const auto own = running.find(self); own != running.end() && --own->second == 0)
    running.erase(own);
  return running;
}

}  // namespace

Loop::~Loop() {
  for (int i = 0; !abandoned_ && i < kLastRounds; ++i) {
    post([this] { stop(); });
    run();
  }
}

void Loop::run() {
  context_.restart();
  run_loop(context_);
}

void Loop::post(std::function<void()> work) { asio::post(context_, std::move(work)); }

asio::awaitable<bool> Loop::settle(const char* self, int limit_ms) {
  asio::steady_timer timer(context_);
  const int64_t end = monotonic_ms() + limit_ms;
  while (!others(context_, self).empty() && monotonic_ms() < end) {
    timer.expires_after(std::chrono::milliseconds(kLookMs));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  const auto running = others(context_, self);
  for (const auto& [what, count] : running)
    log::warn("a task does not end and is cut off", {{"task", what}, {"count", count}});
  co_return running.empty();
}

void Loop::abandon() {
  abandoned_ = true;
  context_.shutdown();
}

}  // namespace verge::server
