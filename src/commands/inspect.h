// Which task a model is for, told by a process of its own: files are foreign, and the server has keys and tokens.
#pragma once

#include <string>

#include "support/error.h"

namespace verge::commands {

// `verge inspect PATH`, not for people: {"task"} or {"error": {"code", "message"}} on stdout.
int inspect(int argc, char** argv);

// Runs it. Errors: those of engine::task_of, Timeout; LoadFailed where processes are short, and where the process broke down over the files.
Result<std::string> inspect_task(const std::string& path);

}  // namespace verge::commands
