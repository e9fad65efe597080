// Server-sent events over one Responder that several coroutines write to.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"
#include "support/json.h"

namespace verge::api {

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kSseComment = ": keep-alive\n\n";

// "data: {…}\n\n". JSON has no bare line ends, so one data line is enough.
std::string sse_event(const json::value& value);

// Writers take turns in the order they come: an event is never torn.
// Owner: generate(); it ends after every coroutine that writes.
class SseStream {
 public:
  SseStream(boost::asio::any_io_executor executor, http::Responder& out);
  ~SseStream();

  bool started() const { return started_; }
  // Sends the head with the first events. Every call: false = the client is gone.
  http::task<bool> start(http::Headers headers, std::string events);
  http::task<bool> write(std::string events);
  http::task<bool> finish(std::string events);
  // Waits until nobody writes.
  http::task<void> idle();
  int64_t last_write_ms() const { return last_write_ms_; }

 private:
  struct Turn;
  http::task<bool> send(http::Headers* headers, std::string events, bool last);

  struct Impl;
  std::unique_ptr<Impl> impl_;
  http::Responder& out_;
  bool started_ = false;
  int64_t last_write_ms_ = 0;
};

}  // namespace verge::api
