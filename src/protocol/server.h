// A socket in front of a Service.
//   POST /v1/run     body: a Request (frame.h); answer: chunked application/x-verge-events
//   GET  /v1/status  JSON object from a callback
// A client that goes away cancels the Service's run().
#pragma once

#include <functional>

#include "http/server.h"
#include "protocol/service.h"

namespace verge::protocol {

using StatusCallback = std::function<json::object()>;

// The two routes as a handler, for a server that the caller makes. `service` outlives it.
http::Handler service_handler(Service& service, StatusCallback status);

class Server {
 public:
  Server(boost::asio::any_io_executor executor, Service& service, StatusCallback status, http::ServerOptions options = {});

  verge::Result<void> listen_unix(const std::string& path) { return server_.listen_unix(path); }
  verge::Result<void> listen_tcp(const std::string& host, uint16_t port) { return server_.listen_tcp(host, port); }
  verge::Result<void> adopt(int listening_fd) { return server_.adopt(listening_fd); }
  uint16_t port() const { return server_.port(); }
  size_t running() const { return server_.running(); }
  void stop_accepting() { server_.stop_accepting(); }
  task<void> drain(int limit_ms) { return server_.drain(limit_ms); }

 private:
  http::Server server_;
};

}  // namespace verge::protocol
