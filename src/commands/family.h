// Child processes that end with their parent, and nothing of them stays: for commands that start other programs.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "support/error.h"

namespace verge::commands {

class Family {
 public:
  // Descendants whose parents end become this process's children. `hangups`: SIGHUP ends it, else it is ignored.
  explicit Family(bool hangups = true);
  ~Family();  // end()
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  // Starts `argv` with `environment` ("NAME=value") added. It gets SIGTERM when this process is killed.
  Result<pid_t> start(const std::vector<std::string>& argv, const std::vector<std::string>& environment, bool quiet = false);

  // Waits until `child` ends; SIGINT, SIGTERM and SIGHUP that come meanwhile are passed on to it as SIGTERM, the second one ends all.
  // The exit code as a shell has it.
  int wait(pid_t child) const;

  // Whether it has ended.
  static bool ended(pid_t child);

  // SIGTERM for all descendants, SIGKILL for those that remain after `grace_ms`.
  void end(int grace_ms = 3000) const;

 private:
  bool hangups_;
};

}  // namespace verge::commands
