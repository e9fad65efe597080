// A Service on the other side of a socket. A connection that is refused, reset or ends before a
// terminal event becomes Failure{WorkerGone}; cancelling run() closes the connection.
#pragma once

#include "http/client.h"
#include "protocol/service.h"

namespace verge::protocol {

class Client : public Service {
 public:
  Client(boost::asio::any_io_executor executor, http::Endpoint endpoint, http::ClientOptions options = {});

  task<void> run(Request request, EventSink& sink) override;
  // GET /v1/status. WorkerGone where nobody answers within timeout_ms.
  task<verge::Result<json::object>> status(int timeout_ms = 2000);
  void close_idle() { client_.close_idle(); }

 private:
  http::Client client_;
};

}  // namespace verge::protocol
