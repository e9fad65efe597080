#include "node/io/inspect_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "support/clock.h"
#include "support/environment.h"
#include "support/json.h"
#include "support/limits.h"
#include "support/model_file_limits.h"
#include "support/shortage.h"

namespace verge::node {
namespace {

constexpr int kLookMs = 50;  // whether somebody waits still

enum class Outcome { Whole, TooMuch, Abandoned };

// Until the process closes its end. TooMuch: it took too long or said too much.
Outcome read_all(int fd, const InspectOptions& options, std::string& text) {
  const int64_t end = monotonic_ms() + limits::kInspectSeconds * 1000;
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    const int64_t left = end - monotonic_ms();
    if (left <= 0 || text.size() > limits::kInspectOutputBytes) return Outcome::TooMuch;
    if (options.abandoned && options.abandoned()) return Outcome::Abandoned;
    if (poll(&wait, 1, static_cast<int>(std::min<int64_t>(left, kLookMs))) <= 0) continue;
    char buffer[4096];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
    else if (n == 0 || errno != EINTR) return Outcome::Whole;
  }
}

// Its process, whose answer comes from `end`; -1 and errno where there is none.
pid_t start(const std::string& path, const InspectOptions& options, int* end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  const std::string weights = options.weights.empty() ? "native" : options.weights;
  const char* argv[] = {options.program.c_str(),
                        "inspect",
                        "--weights",
                        weights.c_str(),
                        path.c_str(),
                        options.task_only ? "--task-only" : nullptr,
                        nullptr};
  pid_t child = -1;
  const int rc = posix_spawn(&child, options.program.c_str(), &actions, nullptr,
                             const_cast<char**>(argv), bare_environment().data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (rc != 0) close(ends[0]);
  errno = rc;
  *end = ends[0];
  return rc == 0 ? child : -1;
}

}  // namespace

Result<ModelFacts> inspect_model(const std::string& path, const InspectOptions& options) {
  int end = -1;
  const pid_t child = start(path, options, &end);
  if (child < 0)
    return shortage(fmt::format("cannot start {}: {}", options.program, std::strerror(errno)));
  std::string text;
  const Outcome outcome = read_all(end, options, text);
  close(end);
  if (outcome != Outcome::Whole) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (outcome == Outcome::Abandoned) return fail(Code::Aborted, "nobody waits for the answer");
  if (outcome == Outcome::TooMuch && !options.task_only) {
    InspectOptions less = options;
    less.task_only = true;
    return inspect_model(path, less);
  }
  if (outcome == Outcome::TooMuch)
    return fail(Code::Timeout, "{}: its headers were not read within {} s", path,
                limits::kInspectSeconds);
  const auto said = parse_json(text);
  const json::object* object = said ? said->if_object() : nullptr;
  if (object && object->contains("task")) return read_model_facts(*object);
  const json::object* error = object ? get_object(*object, "error") : nullptr;
  if (!error)
    return fail(Code::LoadFailed, "{}: the process that reads its headers broke down ({} {})", path,
                WIFSIGNALED(status) ? "signal" : "exit",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return Error{code_from_string(get_string(*error, "code").value_or("")),
               get_string(*error, "message").value_or("")};
}

}  // namespace verge::node
