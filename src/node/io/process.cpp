#include "node/io/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

extern char** environ;

namespace verge::node {
namespace {

struct Pipe {
  int fds[2] = {-1, -1};
  ~Pipe() {
    for (int end : {0, 1}) close(end);
  }
  void close(int end) {
    if (fds[end] >= 0) ::close(std::exchange(fds[end], -1));
  }
};

}  // namespace

Result<int> run_to_end(const std::vector<std::string>& command, size_t most, std::string* output, std::string* complaint) {
  std::array<Pipe, 2> pipes;
  for (Pipe& pipe : pipes)
    if (::pipe2(pipe.fds, O_CLOEXEC) != 0) return fail(Code::Io, "pipe: {}", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipes[0].fds[1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipes[1].fds[1], 2);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int rc = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return fail(Code::Io, "{}: {}", command[0], std::strerror(rc));
  for (Pipe& pipe : pipes) pipe.close(1);
  bool too_much = false;
  std::string* const to[] = {output, complaint};
  std::vector<char> buffer(64 << 10);
  while (pipes[0].fds[0] >= 0 || pipes[1].fds[0] >= 0) {
    pollfd wait[2] = {{pipes[0].fds[0], POLLIN, 0}, {pipes[1].fds[0], POLLIN, 0}};
    if (::poll(wait, 2, -1) < 0 && errno != EINTR) break;
    for (size_t i = 0; i < 2; ++i) {
      if (pipes[i].fds[0] < 0 || wait[i].revents == 0) continue;
      const ssize_t n = ::read(pipes[i].fds[0], buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        pipes[i].close(0);
        continue;
      }
      const auto count = static_cast<size_t>(n);
      if (to[i]->size() + count <= most) to[i]->append(buffer.data(), count);
      else if (i == 0) too_much = true;
    }
    if (too_much) {
      ::kill(pid, SIGKILL);
      break;
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (too_much) return fail(Code::Io, "{}: more than {} bytes of output", command[0], most);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace verge::node
