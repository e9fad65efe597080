// `verge run` for the tasks that answer with one JSON value: the same handlers and services as the server's.
#pragma once

#include <functional>
#include <string>

#include "catalogue/entry.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::commands {

struct TaskQuestion {
  json::object inputs;   // as the published schema has them
  std::string payload;   // bytes of a picture or a clip
};

struct LocalTask {
  catalogue::Entry entry;  // of a path: id and task alone
  json::object schema;     // its published input; may be empty
  std::string path;
  int threads = 0;
};
// Gets the parts of an answer as they are done, in the published shape of a stream's events; for tasks that have such.
using OnPart = std::function<void(const json::object& part)>;
// Loads the model into this process and runs it once.
Result<json::value> run_task_here(const LocalTask& model, TaskQuestion question, OnPart on_part = {});
// Asks a server over REST. With `on_part` the answer is an object of what its last event says.
Result<json::value> run_task_there(const std::string& server, const std::string& model, const std::string& token, TaskQuestion question, OnPart on_part = {});

}  // namespace verge::commands
