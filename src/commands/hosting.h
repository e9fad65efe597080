// `verge serve --worker DIR`: Workers on workerd as long-lived services behind the gateway. Each is a child process (see
// workers/src/host.mjs) that listens on loopback; requests that its routes name are passed on to it. They find each other for their
// bindings in a folder of this server's, so that each ends, fails and starts by itself.
// Owner: serve.cpp, on its io thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::commands {

struct HostingOptions {
  std::vector<std::string> workers;  // DIR or ROUTE=DIR; without a route those of the configuration, else whatever the API leaves
  std::string data;                  // their KV, D1, R2 and Durable Objects, a folder each
  std::string image_result;
};

class Hosting {
 public:
  // InvalidInput: no such folder, no route. `api_takes` says whether a path is the API's own.
  static Result<std::unique_ptr<Hosting>> make(boost::asio::any_io_executor executor, HostingOptions options, std::function<bool(const http::RequestHead&)> api_takes);
  ~Hosting();

  // Starts all; `server` is where their env.AI goes.
  Result<void> start(const std::string& server);

  bool takes(const http::RequestHead& head) const;
  // Whether a Worker's route names the request's host: it is answered under that name whoever may use the API.
  bool names_host(const http::RequestHead& head) const;
  // 502 while it restarts, 504 where it is silent for too long.
  http::task<void> handle(http::Incoming& in, http::Responder& out);
  json::value status() const;
  // SIGTERM, and SIGKILL for those that do not end within the limit.
  http::task<void> stop(int limit_ms);

 private:
  struct Impl;
  explicit Hosting(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::commands
