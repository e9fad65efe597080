// What a worker process serves: one loaded model behind its task's requests, whatever the task.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

#include "protocol/service.h"
#include "worker/host.h"
#include "worker/queue.h"

namespace verge::worker {

class ModelService : public protocol::Service {
 public:
  // New requests are refused as Busy from now on; those here go on.
  virtual void drain() = 0;
  virtual int active() const = 0;           // run()s that have not ended
  virtual json::object status() const = 0;  // of GET /v1/status
  // Of the ready line: task, architecture, weight_bytes, and what else the task has to tell of its memory
  // ("kv_bytes", "context_tokens", "pages").
  virtual json::object ready() const = 0;
};

struct ServiceOptions {
  std::string node;   // both are told in Accepted
  std::string model;
  QueueLimits queue;
};

// Loads the model at options.path and makes the service of its task, which is told from its files (engine/task_of.h).
// Reads the disk; afterwards the service opens nothing more. Errors: LoadFailed, Io.
Result<std::unique_ptr<ModelService>> open_service(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);

}  // namespace verge::worker
