#include "commands/inspect.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "engine/formats/file_access.h"
#include "engine/inspect.h"
#include "engine/task_of.h"
#include "support/json.h"
#include "support/model_file_limits.h"
#include "support/shortage.h"
#include "support/utf8.h"
#include "worker/host.h"
#include "worker/sandbox.h"

namespace verge::commands {
namespace {

struct InspectOptions {
  std::string weights;     // "native" or "f32"; "" = native
  bool task_only = false;  // nothing else is looked at, nor told
};

Result<ModelFacts> look(const std::string& path, const InspectOptions& options) {
  if (options.task_only) {
    VERGE_ASSIGN(task, engine::task_of(path));
    return ModelFacts{std::move(task), "", 0, {}};
  }
  VERGE_ASSIGN(precision, worker::precision_from(options.weights));
  return engine::inspect(path, precision);
}

Result<ModelFacts> look_in_sandbox(const std::string& path, const InspectOptions& options) {
  VERGE_ASSIGN(files, engine::ModelFiles::open(path));
  engine::see_only(std::move(files));
  if (worker::sandbox_supported()) VERGE_TRY(worker::enter_sandbox(limits::kInspectMemoryBytes));
  try {
    Result<ModelFacts> seen = look(path, options);
    if (seen || !is_shortage(seen.error())) return seen;
  } catch (const std::bad_alloc&) {
  }
  // Rare files have to be copied before they can be looked at: only a load can tell of those.
  try {
    return look(path, {.weights = options.weights, .task_only = true});
  } catch (const std::bad_alloc&) {
    return fail(Code::LoadFailed, "{}: its headers take more than {} MiB of memory", path, limits::kInspectMemoryBytes >> 20);
  }
}

}  // namespace

int inspect(int argc, char** argv) {
  CLI::App app("Tell a model's task, architecture, context window and memory from its headers, as JSON", argv[0]);
  std::string path;
  InspectOptions options;
  app.add_option("PATH", path, "GGUF file or model folder")->required();
  app.add_option("--weights", options.weights, "native or f32");
  app.add_flag("--task-only", options.task_only, "Tell the task alone");
  CLI11_PARSE(app, argc, argv);
  const auto seen = look_in_sandbox(path, options);
  json::object out;
  if (seen) out = to_json(*seen);
  else out["error"] = json::object{{"code", to_string(seen.error().code)}, {"message", lossy_utf8(seen.error().message)}};
  const std::string text = json::serialize(out) + "\n";
  return write(STDOUT_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1;
}

}  // namespace verge::commands
