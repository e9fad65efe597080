#include "commands/inspect.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "commands/node_package.h"
#include "engine/formats/file_access.h"
#include "engine/memory_need.h"
#include "engine/task_of.h"
#include "support/clock.h"
#include "support/environment.h"
#include "support/json.h"
#include "support/model_file_limits.h"
#include "support/shortage.h"
#include "support/utf8.h"
#include "worker/sandbox.h"

namespace verge::commands {
namespace {

Result<Inspected> look(const std::string& path, bool task_only) {
  if (task_only) {
    VERGE_ASSIGN(task, engine::task_of(path));
    return Inspected{std::move(task), 0};
  }
  VERGE_ASSIGN(need, engine::memory_needed(path));
  return Inspected{std::move(need.task), need.weights + need.scratch};
}

Result<Inspected> look_in_sandbox(const std::string& path, bool task_only) {
  VERGE_ASSIGN(files, engine::ModelFiles::open(path));
  engine::see_only(std::move(files));
  if (worker::sandbox_supported()) VERGE_TRY(worker::enter_sandbox(limits::kInspectMemoryBytes));
  try {
    Result<Inspected> seen = look(path, task_only);
    if (seen || !is_shortage(seen.error())) return seen;
  } catch (const std::bad_alloc&) {
  }
  // Rare files have to be copied before they can be looked at: only a load can tell of those.
  try {
    return look(path, true);
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
  if (argc < 2 || argc > 3) return std::fprintf(stderr, "usage: verge inspect PATH [task]\n"), 2;
  const auto seen = look_in_sandbox(argv[1], argc == 3);
  json::object out;
  if (seen) out = {{"task", seen->task}, {"bytes", seen->bytes}};
  else out["error"] = json::object{{"code", to_string(seen.error().code)}, {"message", lossy_utf8(seen.error().message)}};
  const std::string text = json::serialize(out);
  return write(STDOUT_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1;
}

Result<Inspected> inspect_model(const std::string& path, bool task_only) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return shortage(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  const std::string program = own_path();
  const char* argv[] = {program.c_str(), "inspect", path.c_str(), task_only ? "task" : nullptr, nullptr};
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
  if (!whole && !task_only) return inspect_model(path, true);
  if (!whole) return fail(Code::Timeout, "{}: its headers were not read within {} s", path, limits::kInspectSeconds);
  const auto said = parse_json(text);
  const json::object* object = said ? said->if_object() : nullptr;
  if (auto task = object ? get_string(*object, "task") : std::nullopt)
    return Inspected{std::move(*task), static_cast<uint64_t>(get_int(*object, "bytes").value_or(0))};
  const json::object* error = object ? get_object(*object, "error") : nullptr;
  if (!error) return fail(Code::LoadFailed, "{}: the process that reads its headers broke down ({} {})", path, WIFSIGNALED(status) ? "signal" : "exit",
                          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return Error{code_from_string(get_string(*error, "code").value_or("")), get_string(*error, "message").value_or("")};
}

}  // namespace verge::commands
