// One request of a service whose work is done on other threads, as the io thread sees it: it goes through stages, and its
// coroutine sleeps until the next is reached. All of it belongs to the io thread but `abandoned`.
#pragma once

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <optional>
#include <vector>

#include "protocol/event.h"
#include "protocol/request.h"
#include "protocol/service.h"
#include "support/error.h"

namespace verge::worker {

// Stage: an enumeration in the order of the stages, the first is where a call begins.
template <class Stage>
struct PendingCall {
  explicit PendingCall(const boost::asio::any_io_executor& io) : wake(io) {}

  boost::asio::steady_timer wake;  // cancelled when `stage` or `error` has changed
  Stage stage{};
  std::optional<Error> error;
  protocol::Request request;
  std::atomic<bool> abandoned = false;  // nobody waits any more: not worth the work

  void reach(Stage next, std::optional<Error> failure = std::nullopt) {
    stage = next;
    error = std::move(failure);
    wake.cancel();
  }

  // Until `next` is reached or the call has failed; false = run() was cancelled.
  protocol::task<bool> wait_for(Stage next) {
    return wait_until([this, next] { return stage >= next || error; });
  }
  // Until ready(), which is asked again at each wake.cancel(); false = run() was cancelled.
  template <class Ready>
  protocol::task<bool> wait_until(Ready ready) {
    namespace asio = boost::asio;
    while (!ready()) {
      boost::system::error_code ignored;
      wake.expires_at(asio::steady_timer::time_point::max());
      co_await wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) co_return false;
    }
    co_return true;
  }
};

// Events are named before they are put: GCC 12 destroys an aggregate made inside a co_await expression twice.
inline protocol::task<void> put_failure(protocol::EventSink& sink, Error error) {
  protocol::Event failure = protocol::Failure{std::move(error)};
  co_await sink.put(std::move(failure));
}

// A task's Result and what follows it.
inline protocol::task<void> put_result(protocol::EventSink& sink, protocol::Result result, protocol::Usage usage) {
  std::vector<protocol::Event> events;
  events.emplace_back(std::move(result));
  events.emplace_back(usage);
  events.emplace_back(protocol::End("stop"));
  for (protocol::Event& event : events) {
    if (!co_await sink.put(std::move(event))) { co_return; }
  }
}

// The whole answer of a task that does not stream.
inline protocol::task<void> put_answer(protocol::EventSink& sink, protocol::Accepted accepted, protocol::Result result, protocol::Usage usage) {
  protocol::Event first = std::move(accepted);
  if (!co_await sink.put(std::move(first))) { co_return; }
  co_await put_result(sink, std::move(result), usage);
}

}  // namespace verge::worker
