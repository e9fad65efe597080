// What a node keeps of one model: its process, the requests that wait for it, and what was measured.
// For the files of this folder.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "node/io/child.h"
#include "node/liveness.h"
#include "node/pace.h"
#include "node/resolve.h"
#include "node/supervisor.h"
#include "protocol/client.h"
#include "protocol/report.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::node {

// One coroutine that waits for its model.
struct Waiter {
  explicit Waiter(const boost::asio::any_io_executor& executor) : timer(executor, std::chrono::steady_clock::time_point::max()) {}
  boost::asio::steady_timer timer;
  bool done = false;
  std::optional<Error> error;
};

struct Slot {
  Slot(Resolved r, const boost::asio::any_io_executor& executor, int64_t hung_ms) : model(std::move(r)), supervisor(model.id), life(hung_ms), wake(executor), asking(executor) {}
  Resolved model;
  Supervisor supervisor;
  Liveness life;
  std::unique_ptr<Child> child;
  std::shared_ptr<protocol::Client> client;
  std::list<Waiter*> waiters;
  boost::asio::steady_timer wake, asking;  // asking: of watch(), cancelled when the process ends
  json::object ready;       // the worker's own figures
  protocol::ModelReport own;  // what it last said of itself
  std::string build, fingerprint;
  bool changed = false;     // the files, since it was loaded
  uint64_t held = 0;        // what the loaded model turned out to hold, bytes
  Pace pace;
  double progress = 0;
  int in_flight = 0;
  int64_t load = 0;         // number of the one under way; an older one that still waits for something is over
  int64_t loads = 0, load_started_ms = 0, load_ms = 0;
  uint64_t requests = 0;
};

}  // namespace verge::node
