#include "commands/inspect.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "hosting/node_package.h"
#include "engine/formats/file_access.h"
#include "engine/inspect.h"
#include "engine/task_of.h"
#include "support/clock.h"
#include "support/environment.h"
#include "support/json.h"
#include "support/model_file_limits.h"
#include "support/shortage.h"
#include "support/utf8.h"
#include "worker/host.h"
#include "worker/sandbox.h"

namespace verge::commands {
namespace {

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

// Until the process closes its end. False: it took too long or said too much.
bool read_all(int fd, std::string& text) {
  const int64_t end = monotonic_ms() + limits::kInspectSeconds * 1000;
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    const int64_t left = end - monotonic_ms();
    if (left <= 0 || text.size() > limits::kInspectOutputBytes) return false;
    if (poll(&wait, 1, static_cast<int>(left)) <= 0) continue;
    char buffer[4096];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
    else if (n == 0 || errno != EINTR) return true;
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

Result<ModelFacts> inspect_model(const std::string& path, const InspectOptions& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return shortage(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  const std::string program = hosting::own_path();
  const std::string weights = options.weights.empty() ? "native" : options.weights;
  const char* argv[] = {program.c_str(), "inspect", "--weights", weights.c_str(), path.c_str(), options.task_only ? "--task-only" : nullptr, nullptr};
  pid_t child = 0;
  const int rc = posix_spawn(&child, program.c_str(), &actions, nullptr, const_cast<char**>(argv), bare_environment().data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  const bool whole = rc == 0 && read_all(ends[0], text);
  close(ends[0]);
  if (rc != 0) return shortage(fmt::format("cannot start {}: {}", program, std::strerror(rc)));
  if (!whole) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (!whole && !options.task_only) return inspect_model(path, {.weights = options.weights, .task_only = true});
  if (!whole) return fail(Code::Timeout, "{}: its headers were not read within {} s", path, limits::kInspectSeconds);
  const auto said = parse_json(text);
  const json::object* object = said ? said->if_object() : nullptr;
  if (object && object->contains("task")) return read_model_facts(*object);
  const json::object* error = object ? get_object(*object, "error") : nullptr;
  if (!error) return fail(Code::LoadFailed, "{}: the process that reads its headers broke down ({} {})", path, WIFSIGNALED(status) ? "signal" : "exit",
                          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return Error{code_from_string(get_string(*error, "code").value_or("")), get_string(*error, "message").value_or("")};
}

}  // namespace verge::commands
