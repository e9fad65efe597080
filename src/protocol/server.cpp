#include "protocol/server.h"

#include <charconv>
#include <optional>

#include "protocol/frame.h"
#include "support/clock.h"

namespace verge::protocol {
namespace {

using http::Incoming;
using http::Responder;

constexpr const char* kEvents = "application/x-verge-events";

// Events to chunks. The status line goes out with the first of them: every answer is a 200 that holds
// its own outcome. Accepted and Usage wait for the event that follows at once, the terminal event ends the answer: a write
// less is a wake-up less on either side.
class ChunkSink : public EventSink {
 public:
  explicit ChunkSink(Responder& out) : out_(out) {}
  task<bool> put(Event event) override {
    if (ended_) co_return false;
    encode_event(event, frames_);
    if (std::holds_alternative<Accepted>(event) || std::holds_alternative<Usage>(event)) co_return true;
    ended_ = terminal(event);
    const std::string frames = std::exchange(frames_, {});
    bool written = false;
    if (!out_.started()) {
      written = co_await out_.start(200, {{"Content-Type", kEvents}}, frames);
      if (written && ended_) {
        written = co_await out_.finish();
      }
    } else if (ended_) {
      written = co_await out_.finish(frames);
    } else {
      written = co_await out_.write(frames);
    }
    co_return written;
  }
  bool stalled() const override { return out_.stalled(); }
  task<bool> caught_up() override { return out_.caught_up(); }
  bool ended() const { return ended_; }

 private:
  Responder& out_;
  std::string frames_;
  bool ended_ = false;
};

std::optional<int64_t> time_left(const Incoming& in) {
  const std::string_view text = in.header(kTimeLeft);
  int64_t ms = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (text.empty() || ec != std::errc() || end != text.data() + text.size() || ms < 1 || ms > 86'400'000) return std::nullopt;
  return ms;
}

task<void> answer_run(Service& service, Incoming& in, Responder& out) {
  ChunkSink sink(out);
  Error error;
  if (in.body_too_large) {
    error = Error{Code::TooLarge, fmt::format("the request is larger than {} bytes", in.body_limit), 0, static_cast<int64_t>(in.body_limit)};
  } else {
    auto request = decode_request(std::move(in.body));  // an image or clip is in memory once
    if (request) {
      if (const auto left = time_left(in)) request->deadline_ms = unix_ms() + *left;
      co_await service.run(std::move(*request), sink);
      // S1 holds for services; a bug in one must not look like an answer cut short by the network.
      if (sink.ended()) co_return;
      error = fail(Code::Internal, "the service ended without an answer");
    } else {
      error = request.error();
    }
  }
  co_await sink.put(Failure{error});
}

}  // namespace

http::Handler service_handler(Service& service, StatusCallback status) {
  return [&service, status = std::move(status)](Incoming& in, Responder& out) -> task<void> {
    if (in.path == "/v1/run" && in.method == "POST") {
      co_await answer_run(service, in, out);
    } else if (in.path == "/v1/status" && in.method == "GET") {
      std::string body = json::serialize(status ? status() : json::object());
      co_await out.respond(200, {{"Content-Type", "application/json"}}, std::move(body));
    } else {
      co_await out.respond(404, {{"Content-Type", "text/plain"}}, "not found\n");
    }
  };
}

namespace {
http::ServerOptions with_limits(http::ServerOptions options) {
  if (!options.body_limit) options.body_limit = [](const http::RequestHead& head) { return head.path == "/v1/run" ? limits::kFrameBytes : size_t{0}; };
  return options;
}
}  // namespace

Server::Server(boost::asio::any_io_executor executor, Service& service, StatusCallback status, http::ServerOptions options)
    : server_(std::move(executor), service_handler(service, std::move(status)), with_limits(std::move(options))) {}

}  // namespace verge::protocol
