// The worker process: one loaded model behind a unix socket. A child of the node, which starts it as
//   verge worker --model PATH --id ID --node NAME …   with fd 3 = status pipe, fd 4 = listening socket
//
// Status pipe, a JSON object a line: {"state":"loading","progress":0.4}, then
//   {"state":"ready","task":…,"context_tokens":…,"pages":…,"weight_bytes":…,"kv_bytes":…,"architecture":…} or
//   {"state":"failed","error":{"code":…,"message":…}} and exit 3.
//
// W1 Once ready it is in its sandbox: nothing is opened, connected or executed any more.
// W2 SIGTERM drains: new requests are refused as Busy, those here have limits::kDrainMs, then it exits
//    with 0, whatever hangs. A second SIGTERM ends it at once.
// W3 It never outlives its node: it ends when its stdin closes or its parent dies.
#pragma once

#include <string>

#include "worker/host.h"

namespace verge::worker {

struct WorkerOptions {
  HostOptions host;
  std::string id;        // of the model
  std::string node;      // name, told in Accepted
  int status_fd = 3;
  int listen_fd = 4;
};

// Runs until it is told to end; returns only where the start fails (exit code 3).
int run_worker(WorkerOptions options);

}  // namespace verge::worker
