#include "protocol/client.h"

#include <algorithm>

#include "protocol/frame.h"
#include "support/clock.h"
#include "support/limits.h"

namespace verge::protocol {
namespace {

// Clients read it: sockets of this machine are not named.
Error gone(const http::Client& client, std::string_view what) {
  const http::Endpoint& endpoint = client.endpoint();
  const std::string name = endpoint.unix_path.empty() ? endpoint.to_string() : "the model's process";
  std::string said(what);
  for (size_t at; !endpoint.unix_path.empty() && (at = said.find(endpoint.unix_path)) != said.npos;) said.replace(at, endpoint.unix_path.size(), "socket");
  return fail(Code::WorkerGone, "{}: {}", name, said);
}

}  // namespace

Client::Client(boost::asio::any_io_executor executor, http::Endpoint endpoint, http::ClientOptions options)
    : client_(executor, std::move(endpoint), options) {}

task<void> Client::run(Request request, EventSink& sink) {
  http::ClientRequest post{"POST", "/v1/run", {{"Content-Type", "application/x-verge-request"}}, encode_request_head(request)};
  post.more = request.payload.view();
  post.owner = request.payload.owner();
  // Clocks of two machines may differ by more than the answer takes: what travels is the time that is left.
  if (request.deadline_ms != 0) post.headers.push_back({kTimeLeft, std::to_string(std::max<int64_t>(1, request.deadline_ms - unix_ms()))});
  request = Request();
  if (post.body.size() + post.more.size() > limits::kFrameBytes) {
    co_await sink.put(Failure{fail(Code::TooLarge, "the request is larger than {} bytes", limits::kFrameBytes)});
    co_return;
  }
  auto sent = co_await client_.send(std::move(post));
  if (!sent) {
    co_await sink.put(Failure{gone(client_, sent.error().message)});
    co_return;
  }
  http::ClientResponse& response = **sent;
  if (response.status != 200) {
    co_await sink.put(Failure{gone(client_, fmt::format("HTTP status {}", response.status))});
    co_return;
  }
  EventReader reader;
  while (true) {
    auto event = reader.next();
    if (!event) {
      co_await sink.put(Failure{gone(client_, event.error().message)});
      co_return;
    }
    if (event->has_value()) {
      const bool last = terminal(**event);
      const bool taken = co_await sink.put(std::move(**event));
      if (!taken) co_return;  // the response's end closes the connection
      if (last) {
        auto rest = co_await response.read();  // the end of the body: only then can the connection be used again
        (void)rest;
        co_return;
      }
      continue;
    }
    auto bytes = co_await response.read();
    if (!bytes || bytes->empty()) {
      const std::string why = bytes ? "the answer ended early" : bytes.error().message;
      co_await sink.put(Failure{gone(client_, why)});
      co_return;
    }
    reader.feed(*bytes);
  }
}

task<verge::Result<json::object>> Client::status(int timeout_ms) {
  http::ClientRequest get{"GET", "/v1/status", {}, ""};
  get.head_timeout_ms = get.read_timeout_ms = timeout_ms;
  auto sent = co_await client_.send(std::move(get));
  if (!sent) co_return gone(client_, sent.error().message);
  auto body = co_await (*sent)->read_all(limits::kEventBytes);
  if (!body) co_return gone(client_, body.error().message);
  if ((*sent)->status != 200) co_return gone(client_, fmt::format("HTTP status {}", (*sent)->status));
  auto parsed = parse_json(*body);
  if (!parsed || !parsed->is_object()) co_return gone(client_, "invalid status");
  co_return std::move(parsed->get_object());
}

}  // namespace verge::protocol
