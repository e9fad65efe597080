// What a model is for and what it takes, told by a process of its own: files are foreign, and the
// server has keys and tokens.
#pragma once

#include <functional>
#include <string>

#include "support/error.h"
#include "support/model_facts.h"

namespace verge::node {

struct InspectOptions {
  std::string program;     // that understands `inspect`
  std::string weights;     // "native" or "f32"; "" = native
  bool task_only = false;  // nothing else is looked at, nor told
  std::function<bool()> abandoned;  // nobody waits for the answer any more; asked while it waits
};

// Runs `verge inspect` and waits. Errors: those of engine::inspect, Timeout, Aborted; LoadFailed
// where processes are short, and where the process broke down over the files. Where only a load can
// tell what a model takes, `memory` is empty.
Result<ModelFacts> inspect_model(const std::string& path, const InspectOptions& options);

}  // namespace verge::node
