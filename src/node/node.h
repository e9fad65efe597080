// One machine: which models are loaded in which worker process, in how much memory.
// A Service over worker processes. Owner: server::Server, on the one io thread; all coroutines run
// there. The decisions are in supervisor.h and ledger.h; local/ has the processes and timers.
//
// N1 A request for a cold model waits for its load (bounded), it never gets an error for coldness.
// N2 A worker that dies fails its own requests with WorkerGone (the router retries them) and touches
//    no other model.
// N3 stop() ends every worker: SIGTERM, then SIGKILL after the drain limit.
// N4 A worker that hangs is killed, and its requests fail as those of one that died (liveness.h).
// N5 The io thread asks the file system for nothing: what is on the disk is looked at by a thread of its own, once a second and
//    before a model is loaded or refused as absent. A loaded model answers on whatever becomes of its files.
// N6 A model is loaded only where what its headers tell fits into the budget; what it turns out to hold is what counts.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalogue/catalogue.h"
#include "node/io/inspections.h"
#include "node/resolve.h"
#include "protocol/report.h"
#include "protocol/service.h"

namespace verge::node {

struct NodeOptions {
  std::string name = "local";
  ResolveOptions resolve;
  std::string program;              // of workers; default: this program
  uint64_t memory_bytes = 0;        // budget; 0 = 80 % of what the machine (or its cgroup) has
  int threads = 0;                  // per worker; 0 = all cores
  int context_tokens = 0;           // 0 = the model's own
  uint64_t kv_bytes = 0;            // per worker; 0 = chosen from the budget
  std::string kv_type;              // "" = f16
  std::string weights;              // "" = native, "f32"
  bool null_engine = false;         // text without a model, for measurements
  std::shared_ptr<Inspections> inspections;  // what models take, told before they are loaded; required
  int hung_after_ms = 0;            // a worker without progress for so long at least is killed; 0 = kHungFloorMs of liveness.h
};

class Node : public protocol::Service {
 public:
  // Looks at the disk, so not on the io thread.
  static Result<std::shared_ptr<Node>> make(boost::asio::any_io_executor executor, const catalogue::Catalogue& catalogue, NodeOptions options);

  // Loads a model ahead of its first request.
  virtual void preload(const std::string& id) = 0;
  // Whether it is here and, by its headers, fits into the budget once everything else has gone: NoSuchModel,
  // ModelUnavailable, LoadFailed. Blocks: before anything runs.
  virtual Result<void> could_load(const std::string& id) const = 0;
  // Ends an idle model's worker; a busy one stays.
  virtual void unload(const std::string& id) = 0;
  // {name, memory, models: [{id, state, pid, memory, requests, …}]} for `verge ps`, /metrics.
  virtual json::value status() const = 0;
  // All models that are loaded or on the disk here, as both were known last.
  virtual std::vector<protocol::ModelReport> figures() = 0;
  virtual uint64_t memory_free_bytes() const = 0;
  // Told of each id, as figures() lists them, whose model becomes suspect (true) or is so no longer.
  virtual void on_suspect(std::function<void(const std::string& id, bool suspect)> told) = 0;
  // False: models are loaded, and none of them gets on.
  virtual bool well() const = 0;
  // Drains and ends all workers; returns when they are gone, at the latest after the drain limit.
  virtual protocol::task<void> stop(int64_t drain_ms) = 0;
};

}  // namespace verge::node
