// One process of a hosted Worker, from the build of its code to its end: `verge host`, below it
// Node (workers/src/host.mjs) and workerd. Lines of JSON go both ways. From it: "built", "ready",
// "failed", "log". To it: "start" once it may run what it has built, "live" once it is the one that
// requests go to (cron and queues are its business from then on), "retire" once it no longer is.
// Owner: hosting.cpp, on the io thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hosting/worker_routes.h"
#include "http/client.h"
#include "node/io/child.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::hosting {

// A Worker's configuration as far as it is the gateway's business.
struct WorkerShape {
  std::string script;  // its name, which others bind to
  std::vector<WorkerRoute> routes;
  bool called_only = false;  // no route, and workers_dev is false: only other Workers reach it
  std::vector<std::string> queues;  // that it consumes
  bool exclusive = false;  // it has Durable Objects or workflows, of which two copies must not run
};
// InvalidInput: a route that is none.
Result<WorkerShape> read_shape(const json::object& from);

struct HostedProcess {
  struct Callbacks {
    std::function<void()> built, ready;
    std::function<void(const std::string& how)> ended;  // last
  };

  // `argv`: of `verge host`. What the Worker prints is logged under `worker`.
  static Result<std::shared_ptr<HostedProcess>> start(boost::asio::any_io_executor executor,
                                                      std::string worker,
                                                      const std::vector<std::string>& argv,
                                                      const std::string& socket_path,
                                                      Callbacks callbacks);
  // Its env.AI goes to `server`, a URL that holds the Worker's secret; `queues`: the file that
  // keeps what is sent.
  void run(const std::string& server);
  void live() { tell("live"); }
  void retire() { tell("retire"); }
  void terminate() {
    if (child) child->terminate();
  }

  std::string worker;
  int64_t started_ms = 0;
  WorkerShape shape;  // from "built" on
  bool built = false;
  uint16_t port = 0;
  std::shared_ptr<http::Client> client;  // from "ready" on, until it ends
  std::string reason;                    // why it failed
  int in_flight = 0;
  bool ended = false;

 private:
  void tell(std::string_view what);
  void told(const json::object& line);
  void printed(const json::object& line);

  boost::asio::any_io_executor executor;
  Callbacks callbacks;
  std::unique_ptr<node::Child> child;
  std::string message;  // beginning of one that comes in pieces
};

}  // namespace verge::hosting
