#include "api/sse.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/utf8.h"
#include "support/clock.h"

namespace verge::api {
namespace asio = boost::asio;

// A timer that never elapses is the waiting room: cancelling it wakes everybody in it.
struct SseStream::Impl {
  explicit Impl(asio::any_io_executor executor) : room(std::move(executor), asio::steady_timer::time_point::max()) {}
  asio::steady_timer room;
  bool writing = false;
};

struct SseStream::Turn {
  Impl& impl;
  ~Turn() {
    impl.writing = false;
    impl.room.cancel();
  }
};

std::string sse_event(const json::value& value) { return "data: " + json_body(value) + "\n\n"; }

SseStream::SseStream(asio::any_io_executor executor, http::Responder& out)
    : impl_(std::make_unique<Impl>(std::move(executor))), out_(out) {}
SseStream::~SseStream() = default;

http::task<void> SseStream::idle() {
  while (impl_->writing) {
    boost::system::error_code woken;
    co_await impl_->room.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

http::task<bool> SseStream::send(http::Headers* headers, std::string events, bool last) {
  co_await idle();
  impl_->writing = true;
  Turn turn{*impl_};
  if (headers && !started_) {
    started_ = true;
    const bool sent = co_await out_.start(200, std::move(*headers), events);
    if (!sent) co_return false;
    events.clear();
  }
  last_write_ms_ = monotonic_ms();
  if (last) co_return co_await out_.finish(events);
  if (events.empty()) co_return true;
  co_return co_await out_.write(events);
}

http::task<bool> SseStream::start(http::Headers headers, std::string events) {
  co_return co_await send(&headers, std::move(events), false);
}
http::task<bool> SseStream::write(std::string events) { co_return co_await send(nullptr, std::move(events), false); }
http::task<bool> SseStream::finish(std::string events) { co_return co_await send(nullptr, std::move(events), true); }

}  // namespace verge::api
