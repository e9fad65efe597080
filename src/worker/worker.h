// The worker process: one loaded model behind a unix socket. A child of the node, which starts it as
//   verge worker --model PATH --id ID --node NAME …   with fd 3 = status pipe, fd 4 = listening socket
//
// Status pipe, a JSON object a line: {"state":"loading","progress":0.4}, then
//   {"state":"ready","task":…,"context_tokens":…,"pages":…,"weight_bytes":…,"kv_bytes":…,"architecture":…} or
//   {"state":"failed","error":{"code":…,"message":…,"retry_after_ms":…}} and exit 3.
//
// W1 Its files are opened by name, then it enters its sandbox, and only then reads them: from the first "loading" on nothing is
//    opened, connected or executed any more, and memory is bounded (worker/sandbox.h).
// W2 SIGTERM drains: new requests are refused as Busy, those here have limits::kDrainMs, then it exits
//    with 0, whatever hangs. A second SIGTERM ends it at once.
// W3 It never outlives its node: it ends when its stdin closes or its parent dies.
#pragma once

#include <cstdint>
#include <string>

#include "worker/host.h"

namespace verge::worker {

struct WorkerOptions {
  HostOptions host;
  std::string id;        // of the model
  std::string node;      // name, told in Accepted
  uint64_t memory_bytes = 0;  // the node's budget for all models; 0 = not told
  int status_fd = 3;
  int listen_fd = 4;
};

// Runs until it is told to end; returns only where the start fails (exit code 3).
int run_worker(WorkerOptions options);

}  // namespace verge::worker
