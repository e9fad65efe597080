#include "commands/family.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "support/clock.h"

namespace verge::commands {
namespace {

sigset_t watched(bool hangups) {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&set, number);
  if (hangups) sigaddset(&set, SIGHUP);
  return set;
}

// Parent of a process, 0 where it is gone.
pid_t parent_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  const size_t name_end = line.rfind(')');  // the name may hold anything
  return name_end == line.npos || name_end + 4 > line.size() ? 0 : std::atoi(line.c_str() + name_end + 4);
}

// Children of this process, those that it has inherited too.
std::vector<pid_t> children() {
  std::vector<pid_t> found;
  DIR* proc = opendir("/proc");
  if (!proc) return found;
  while (const dirent* entry = readdir(proc)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid > 0 && parent_of(pid) == getpid()) found.push_back(pid);
  }
  closedir(proc);
  return found;
}

void reap() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {}
}

}  // namespace

Family::Family(bool hangups) : hangups_(hangups) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (!hangups) ::signal(SIGHUP, SIG_IGN);
  const sigset_t set = watched(hangups);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

Family::~Family() { end(); }

Result<pid_t> Family::start(const std::vector<std::string>& argv, const std::vector<std::string>& environment, bool quiet) {
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  int failure[2];  // closed by a successful exec, else carries errno
  if (pipe2(failure, O_CLOEXEC) != 0) return fail(Code::Io, "cannot start {}: {}", argv[0], std::strerror(errno));
  const pid_t parent = getpid(), child = fork();
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);  // it has died before the line above
    if (quiet) {
      const int null = open("/dev/null", O_RDWR);
      dup2(null, STDIN_FILENO);
      dup2(null, STDOUT_FILENO);
    }
    for (const std::string& one : environment) putenv(const_cast<char*>(one.c_str()));
    execvp(words[0], words.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t written = write(failure[1], &error, sizeof error);
    _exit(127);
  }
  close(failure[1]);
  int error = child < 0 ? errno : 0;
  if (child > 0 && read(failure[0], &error, sizeof error) > 0) waitpid(child, nullptr, 0);
  close(failure[0]);
  if (error != 0) return fail(Code::Io, "cannot start {}: {}", argv[0], std::strerror(error));
  return child;
}

bool Family::ended(pid_t child) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == child;
}

int Family::wait(pid_t child) const {
  const sigset_t set = watched(hangups_);
  for (bool told = false;;) {
    int status = 0;
    const pid_t gone = waitpid(child, &status, WNOHANG);
    if (gone == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (gone < 0 && errno != EINTR) return 1;
    siginfo_t info{};
    const int number = sigwaitinfo(&set, &info);
    if (number < 0 || number == SIGCHLD) continue;
    if (told) {
      end(0);
      return 128 + number;
    }
    told = true;
    kill(child, SIGTERM);
  }
}

void Family::end(int grace_ms) const {
  const int64_t limit = monotonic_ms() + grace_ms;
  for (bool told = false;; told = true) {
    reap();
    const std::vector<pid_t> left = children();
    if (left.empty()) return;
    const bool late = monotonic_ms() >= limit;
    for (pid_t pid : left) {
      if (late || !told) kill(pid, late ? SIGKILL : SIGTERM);
    }
    usleep(20'000);
  }
}

}  // namespace verge::commands
