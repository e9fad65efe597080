// What Hosting keeps of one Worker: its configuration, its processes and how it fares. For the files
// of this folder.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <string>
#include <vector>

#include "api/api.h"
#include "hosting/hosted_process.h"

namespace verge::hosting {

inline constexpr int64_t kFirstBackoffMs = 200, kLastBackoffMs = 30'000;

using Process = std::shared_ptr<HostedProcess>;

struct HostedWorker {
  std::string folder, name, environment, secrets_file;
  bool own_routes = false;  // given on the command line
  WorkerShape shape;        // of its configuration; the one that is served
  bool known = false;       // the configuration was read
  api::Vouched vouched;
  std::string secret;
  Process current;               // takes its requests, or starts for the first time
  Process next;                  // new code beside it
  std::vector<Process> retired;  // finish what they have begun
  bool again = false;            // asked to reload while it was about to start
  bool changing = false;     // the old one has to end before the new one may start: requests wait
  std::string reason;        // why it does not run
  std::string reload_error;  // why it still runs what it ran
  int restarts = 0, reloads = 0;
  int64_t backoff_ms = kFirstBackoffMs;
  std::shared_ptr<boost::asio::steady_timer> retry;

  bool serves() const { return current && current->client; }
};

}  // namespace verge::hosting
