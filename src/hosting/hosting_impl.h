// The inside of Hosting, one file a job: routes and claims (routing.cpp), processes from their start to
// their end and to new code (lifecycle.cpp), requests (forward.cpp), and the rest (hosting.cpp).
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hosting/hosted_worker.h"
#include "hosting/hosting.h"
#include "hosting/worker_routes.h"
#include "node/io/child.h"
#include "support/metrics.h"

namespace verge::hosting {

// A project's folder may be its own whole world: a name that no folder of a Worker has.
inline constexpr const char* kRegistry = ".registry";

// What the query of a Worker's env.AI is called by.
inline constexpr const char* kSecretQuery = "verge_worker";

struct Counters {
  explicit Counters(metrics::Registry& registry)
      : requests(registry.counter("verge_worker_requests_total",
                                  "Requests of hosted Workers answered.", {"worker", "status"})),
        restarts(registry.counter("verge_worker_restarts_total",
                                  "Ends of hosted Workers' processes, failed starts too.",
                                  {"worker"})),
        duration(registry.histogram("verge_worker_request_duration_seconds",
                                    "Time from a hosted Worker's request to the end of its answer.",
                                    {"worker"})),
        up(registry.gauge("verge_worker_up", "1 where the hosted Worker runs.", {"worker"})),
        in_flight(registry.gauge("verge_worker_requests_in_flight",
                                 "Requests of hosted Workers whose answer is not finished.",
                                 {"worker"})) {}
  metrics::Counter requests, restarts;
  metrics::Histogram duration;
  metrics::Gauge up, in_flight;
};

struct Hosting::Impl : std::enable_shared_from_this<Hosting::Impl> {
  Impl(boost::asio::any_io_executor e, HostingOptions o,
       std::function<bool(const http::RequestHead&)> api)
      : executor(e), options(std::move(o)), api_takes(std::move(api)), counters(*options.metrics) {}

  boost::asio::any_io_executor executor;
  HostingOptions options;
  std::function<bool(const http::RequestHead&)> api_takes;
  Counters counters;
  std::unique_ptr<node::SocketFolder> sockets;
  std::vector<std::unique_ptr<HostedWorker>> workers;
  std::string server;
  bool stopping = false;

  // ---- Routes and claims
  static RouteClaim claim_of(const HostedWorker& worker, const WorkerShape& shape);
  // The Worker that takes a request: the most specific route, else the one without any.
  HostedWorker* find(const http::RequestHead& head) const;
  // Whether all Workers can have what they want, `changed` in its new shape.
  Result<void> check(const HostedWorker* changed, const WorkerShape& shape) const;

  // ---- Processes
  std::filesystem::path folder() const;
  Result<Process> launch(HostedWorker& worker, bool successor);
  void start_worker(HostedWorker& worker);
  std::string server_of(const HostedWorker& worker) const;
  void built(HostedWorker& worker, const Process& process);
  void ready(HostedWorker& worker, const Process& process);
  void retire(HostedWorker& worker, Process old);
  boost::asio::awaitable<void> until(std::function<bool()> done, int64_t limit_ms);
  void ended(HostedWorker& worker, const Process& process, const std::string& how);
  void failed(HostedWorker& worker, const std::string& why);
  void again_in(HostedWorker& worker, int64_t ms);
  void reload(HostedWorker& worker);

  // ---- Requests
  http::task<void> forward(HostedWorker& worker, http::Incoming& in, http::Responder& out);
};

}  // namespace verge::hosting
