#include "commands/converter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <utility>

#include "commands/node_package.h"
#include "convert/convert.h"
#include "support/clock.h"
#include "support/limits.h"

extern char** environ;

namespace verge::commands {
namespace asio = boost::asio;
namespace {

constexpr int kAtOnce = 2;

struct Pipe {
  int read = -1, write = -1;
  bool open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  ~Pipe() {
    close(read);
    close(write);
  }
};

struct Output {
  std::string text, errors;
  bool late = false, too_long = false;
};

// Feeds the input and takes what comes, until the process closes its ends.
void talk(Pipe& in, Pipe& out, Pipe& err, std::string_view input, Output& result) {
  fcntl(in.write, F_SETFL, O_NONBLOCK);
  const int64_t end = monotonic_ms() + limits::kConvertSeconds * 1000;
  char buffer[64 << 10];
  while (out.read >= 0 || err.read >= 0) {
    if (in.write >= 0 && input.empty()) Pipe::close(in.write);
    pollfd fds[3] = {{in.write, POLLOUT, 0}, {out.read, POLLIN, 0}, {err.read, POLLIN, 0}};
    const int64_t left = end - monotonic_ms();
    if (left <= 0 || result.text.size() > limits::kConvertOutputBytes) {
      result.late = left <= 0;
      result.too_long = left > 0;
      return;
    }
    if (poll(fds, 3, static_cast<int>(left)) < 0 && errno != EINTR) return;
    if (fds[0].revents) {
      const ssize_t n = write(in.write, input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      else if (errno != EAGAIN && errno != EINTR) Pipe::close(in.write);  // it wants no more
    }
    for (auto [pipe, to, ready] : {std::tuple{&out, &result.text, fds[1].revents}, std::tuple{&err, &result.errors, fds[2].revents}}) {
      if (!ready) continue;
      const ssize_t n = read(pipe->read, buffer, sizeof buffer);
      if (n > 0) to->append(buffer, static_cast<size_t>(n));
      else if (n == 0 || errno != EINTR) Pipe::close(pipe->read);
    }
  }
}

Result<std::string> run(const std::string& kind, const std::string& bytes) {
  Pipe in, out, err;
  if (!in.open() || !out.open() || !err.open()) return fail(Code::Internal, "no descriptors are left");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const std::string program = own_path();
  const char* argv[] = {program.c_str(), "convert", kind.c_str(), nullptr};
  pid_t child = 0;
  const int rc = posix_spawn(&child, program.c_str(), &actions, &attributes, const_cast<char**>(argv), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (rc != 0) return fail(Code::Internal, "cannot start the converter");
  for (int* end : {&in.read, &out.write, &err.write}) Pipe::close(*end);
  Output output;
  talk(in, out, err, bytes, output);
  if (output.late || output.too_long) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (output.late) return fail(Code::InvalidInput, "the document took longer than {} s", limits::kConvertSeconds);
  if (output.too_long) return fail(Code::InvalidInput, "the document's text is longer than {} MiB", limits::kConvertOutputBytes >> 20);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    while (output.errors.ends_with('\n')) output.errors.pop_back();
    return fail(Code::InvalidInput, "{}", output.errors.empty() ? "the document could not be read" : output.errors.substr(0, 500));
  }
  return kind == "pdf" ? convert::pages_to_markdown(output.text) : std::move(output.text);
}

}  // namespace

http::task<Result<std::string>> convert_document(std::string kind, std::string bytes) {
  static asio::thread_pool pool(kAtOnce);  // waits for the processes; the io thread does not
  struct Job {
    std::string kind, bytes;
    Result<std::string> result = fail(Code::Internal, "not converted");
  };
  auto job = std::make_shared<Job>();
  job->kind = std::move(kind);
  job->bytes = std::move(bytes);
  auto work = [](std::shared_ptr<Job> one) -> asio::awaitable<void> {
    one->result = run(one->kind, one->bytes);
    co_return;
  };
  auto running = asio::co_spawn(pool, work(job), asio::use_awaitable);
  co_await std::move(running);
  co_return std::move(job->result);
}

}  // namespace verge::commands
