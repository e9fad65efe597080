// `verge serve --worker DIR`: Workers on workerd as long-lived services behind the gateway. Each is
// a process (hosted_process.h) that listens on loopback; requests that its routes name are passed
// on to it. They find each other for their bindings in a folder of this server's, so that each
// ends, fails, starts and gets new code by itself. Owner: server::Server, on its io thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/api.h"
#include "http/server.h"
#include "support/error.h"
#include "support/json.h"
#include "support/metrics.h"

namespace verge::hosting {

struct HostingOptions {
  std::vector<std::string> workers;  // DIR or ROUTE=DIR; without a route those of the
                                     // configuration, else whatever the API leaves
  std::vector<std::string> accounts,
      environments;                  // NAME=ACCOUNT, NAME=ENVIRONMENT of the configuration
  std::vector<std::string> secrets;  // NAME=FILE in the form of .dev.vars
  std::string data;                  // their KV, D1, R2, Durable Objects and queues
  std::string image_result;
  std::vector<std::string> own_hosts;  // names of this server
  metrics::Registry* metrics = nullptr;
};

class Hosting {
 public:
  // InvalidInput: no such folder, no route, an option for a Worker that is not hosted. `api_takes`:
  // whether a path is the API's own.
  static Result<std::unique_ptr<Hosting>> make(
      boost::asio::any_io_executor executor, HostingOptions options,
      std::function<bool(const http::RequestHead&)> api_takes);
  ~Hosting();

  // Reads all configurations, which waits for a program, and starts all; `server` is where their
  // env.AI goes. InvalidInput: routes, names or queues collide. A Worker whose configuration cannot
  // be read or whose code cannot be built is no error: others go on.
  Result<void> start(const std::string& server);
  // Builds all again; each changes to its new code once that runs.
  void reload();

  bool takes(const http::RequestHead& head) const;
  // Whether a Worker's route names the request's host: it is answered under that name whoever may
  // use the API.
  bool names_host(const http::RequestHead& head) const;
  // 503 while it does not run, 502 where it ends meanwhile, 504 where it is silent for too long.
  http::task<void> handle(http::Incoming& in, http::Responder& out);
  // The Worker whose env.AI sent this to `server`: by a secret that only its runtime has. Null:
  // none did.
  const api::Vouched* vouched(const http::RequestHead& head) const;
  json::value status() const;
  // SIGTERM, and SIGKILL for those that do not end within the limit.
  http::task<void> stop(int limit_ms);

 private:
  struct Impl;
  explicit Hosting(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::hosting
