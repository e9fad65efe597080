// What a model is for and what it needs, told by a process of its own: files are foreign, and the server has keys and tokens.
#pragma once

#include <cstdint>
#include <string>

#include "support/error.h"

namespace verge::commands {

struct Inspected {
  std::string task;
  uint64_t bytes = 0;  // of memory, without keys and values; 0 = not asked
};

// `verge inspect PATH [task]`, not for people: {"task", "bytes"} or {"error": {"code", "message"}} on stdout.
int inspect(int argc, char** argv);

// Runs it and waits. Errors: those of engine::memory_needed, Timeout; LoadFailed where processes are short, and where the
// process broke down over the files. `task_only`: nothing else is looked at.
Result<Inspected> inspect_model(const std::string& path, bool task_only = false);

}  // namespace verge::commands
