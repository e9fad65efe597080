#include "worker/sandbox.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace verge::worker {
namespace {

// Runs `check` in a child process inside the sandbox; returns its exit code, 100 where the sandbox itself failed.
int in_sandbox(const std::function<bool()>& check, uint64_t extra_bytes = 1 << 30) {
  const pid_t child = fork();
  if (child == 0) {
    if (!enter_sandbox(extra_bytes)) _exit(100);
    _exit(check() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

#define VERGE_SKIP_UNDER_SANITIZER() \
  if (!sandbox_supported()) GTEST_SKIP() << "builds with a sanitizer run without the sandbox"

TEST(Sandbox, NoNetwork) {
  VERGE_SKIP_UNDER_SANITIZER();
  EXPECT_EQ(in_sandbox([] { return socket(AF_INET, SOCK_STREAM, 0) == -1 && socket(AF_UNIX, SOCK_STREAM, 0) == -1; }), 0);
}

TEST(Sandbox, NoFiles) {
  VERGE_SKIP_UNDER_SANITIZER();
  EXPECT_EQ(in_sandbox([] { return open("/etc/passwd", O_RDONLY) == -1 && open("/tmp/verge-sandbox-test", O_CREAT | O_WRONLY, 0600) == -1; }), 0);
  EXPECT_EQ(access("/tmp/verge-sandbox-test", F_OK), -1);
}

TEST(Sandbox, NoPrograms) {
  VERGE_SKIP_UNDER_SANITIZER();
  EXPECT_EQ(in_sandbox([] {
              char name[] = "/bin/true";
              char* argv[] = {name, nullptr};
              return execv(name, argv) == -1 && fork() == -1;
            }), 0);
}

TEST(Sandbox, NoCodeOutOfAFileAndNoneAtAllOnceItIsSettled) {
  VERGE_SKIP_UNDER_SANITIZER();
  const int file = open("/proc/self/exe", O_RDONLY);
  EXPECT_EQ(in_sandbox([&] {
              void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, file, 0);
              return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == -1 && mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED;
            }), 0);
  close(file);
  EXPECT_EQ(in_sandbox([] {
              if (!settle_sandbox(1 << 30)) return false;
              void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == -1 &&
                     mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
            }), 0);
}

TEST(Sandbox, ThreadsAndMemoryStillWork) {
  VERGE_SKIP_UNDER_SANITIZER();
  EXPECT_EQ(in_sandbox([] {
              std::vector<int> data(1 << 20, 1);
              int sum = 0;
              std::thread([&] { for (int v : data) sum += v; }).join();
              return sum == 1 << 20;
            }), 0);
}

TEST(Sandbox, MemoryIsBounded) {
  VERGE_SKIP_UNDER_SANITIZER();
  EXPECT_EQ(in_sandbox([] {
              void* small = ::operator new(16 << 20, std::nothrow);
              void* large = ::operator new(512 << 20, std::nothrow);
              return small != nullptr && large == nullptr;
            }, 64 << 20), 0);
}

TEST(Sandbox, LimitsOnlyBecomeLower) {
  VERGE_SKIP_UNDER_SANITIZER();
  const auto large = [] { return std::unique_ptr<std::byte[]>(new (std::nothrow) std::byte[512 << 20]) != nullptr; };
  EXPECT_EQ(in_sandbox([&] {
              if (!large() || !settle_sandbox(64 << 20) || large()) return false;
              const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
              return setrlimit(RLIMIT_DATA, &all) == -1;
            }), 0);
  EXPECT_EQ(in_sandbox([] {
              const rlimit all{RLIM_INFINITY, RLIM_INFINITY};  // root's, too: it has no capabilities any more
              return setrlimit(RLIMIT_DATA, &all) == -1 && setrlimit(RLIMIT_NOFILE, &all) == -1;
            }), 0);
}

TEST(Sandbox, LoadMemoryFollowsTheFilesAndStaysWithinTheBudget) {
  constexpr uint64_t kGib = 1ull << 30;
  EXPECT_GT(load_memory(8 * kGib, false, kGib, 0, 4), 9 * kGib);
  EXPECT_GT(load_memory(8 * kGib, true, kGib, 0, 4), load_memory(8 * kGib, false, kGib, 0, 4));
  EXPECT_LT(load_memory(100 * kGib, false, kGib, 10 * kGib, 4), 13 * kGib);
  EXPECT_GT(load_memory(UINT64_MAX, true, kGib, 0, 4), kGib);
}

TEST(Sandbox, ATerminalIsWrittenToOnly) {
  VERGE_SKIP_UNDER_SANITIZER();
  EXPECT_EQ(in_sandbox([] {
              char c = 'x';
              return ioctl(STDERR_FILENO, TIOCSTI, &c) == -1 && errno == EPERM;
            }), 0);
}

TEST(Sandbox, ThreadsThatRunAlreadyAreInIt) {
  VERGE_SKIP_UNDER_SANITIZER();
  const pid_t child = fork();
  if (child == 0) {
    int pipes[2], result[2];
    if (pipe(pipes) != 0 || pipe(result) != 0) _exit(101);
    std::thread other([&] {
      char byte = 0;
      if (read(pipes[0], &byte, 1) != 1) return;
      byte = socket(AF_INET, SOCK_STREAM, 0) == -1 ? 1 : 2;
      if (write(result[1], &byte, 1) != 1) _exit(102);
    });
    if (!enter_sandbox(1 << 30)) _exit(100);
    char byte = 0;
    if (write(pipes[1], &byte, 1) != 1 || read(result[0], &byte, 1) != 1) _exit(103);
    other.join();
    _exit(byte == 1 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace verge::worker
