#include "server/converter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "convert/convert.h"
#include "support/clock.h"
#include "support/environment.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::server {
namespace asio = boost::asio;
namespace {

constexpr int kAtOnce = 2;
constexpr size_t kErrorBytes = 4096;
constexpr int kLookMs = 50;         // whether somebody waits for the document still
constexpr int kNotInstalled = 69;  // of `verge convert`: pdftotext is missing; the loader of programs has 127

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

struct Fd {
  explicit Fd(int f) : fd(f) {}
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  const int fd;
};

struct Output {
  std::string text, errors;
  bool late = false, too_long = false, left = false;
  bool cut() const { return late || too_long || left; }
};

// How long the process may take still, and for whom.
struct Patience {
  int64_t limit_ms = 0, end_ms = 0;
  const Pool::Abandoned& abandoned;
};

// Feeds the input and takes what comes, until the process closes its ends.
void talk(Pipe& in, Pipe& out, Pipe& err, std::string_view input, const Patience& patience, Output& result) {
  fcntl(in.write, F_SETFL, O_NONBLOCK);
  char buffer[64 << 10];
  while (out.read >= 0 || err.read >= 0) {
    if (in.write >= 0 && input.empty()) Pipe::close(in.write);
    pollfd fds[3] = {{in.write, POLLOUT, 0}, {out.read, POLLIN, 0}, {err.read, POLLIN, 0}};
    const int64_t left = patience.end_ms - monotonic_ms();
    result.left = patience.abandoned();
    result.late = left <= 0;
    result.too_long = result.text.size() > limits::kConvertOutputBytes;
    if (result.cut()) return;
    if (poll(fds, 3, static_cast<int>(std::min<int64_t>(left, kLookMs))) < 0 && errno != EINTR) return;
    if (fds[0].revents) {
      const ssize_t n = write(in.write, input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      else if (errno != EAGAIN && errno != EINTR) Pipe::close(in.write);  // it wants no more
    }
    if (result.errors.size() > kErrorBytes) result.errors.resize(kErrorBytes);
    for (auto [pipe, to, ready] : {std::tuple{&out, &result.text, fds[1].revents}, std::tuple{&err, &result.errors, fds[2].revents}}) {
      if (!ready) continue;
      const ssize_t n = read(pipe->read, buffer, sizeof buffer);
      if (n > 0) to->append(buffer, static_cast<size_t>(n));
      else if (n == 0 || errno != EINTR) Pipe::close(pipe->read);
    }
  }
}

// The status of a process that has closed its output, and ends soon; else it is made to.
int end(pid_t child, const Patience& patience, Output& result) {
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{process.fd, POLLIN, 0};
  while (!result.cut() && process.fd >= 0 && !(ended.revents & POLLIN)) {
    const int64_t left = patience.end_ms - monotonic_ms();
    result.late = left <= 0;
    result.left = patience.abandoned();
    if (!result.cut() && poll(&ended, 1, static_cast<int>(std::min<int64_t>(left, kLookMs))) < 0 && errno != EINTR) break;
  }
  if (!(ended.revents & POLLIN)) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return status;
}

Result<std::string> run(const std::string& program, const std::string& kind, const std::string& media_type,
                        const std::string& bytes, const Patience& patience) {
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
  const char* argv[] = {program.c_str(), "convert", kind.c_str(), media_type.c_str(), nullptr};
  pid_t child = 0;
  const int rc = posix_spawn(&child, program.c_str(), &actions, &attributes, const_cast<char**>(argv), bare_environment({"PATH"}).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (rc != 0) return fail(Code::Internal, "cannot start the converter");
  for (int* end : {&in.read, &out.write, &err.write}) Pipe::close(*end);
  Output output;
  talk(in, out, err, bytes, patience, output);
  const int status = end(child, patience, output);
  if (output.left) return fail(Code::Aborted, "nobody waits for the document");
  if (output.late) return fail(Code::InvalidInput, "the document took longer than {} s", patience.limit_ms / 1000);
  if (output.too_long) return fail(Code::InvalidInput, "the document's text is longer than {} MiB", limits::kConvertOutputBytes >> 20);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    while (output.errors.ends_with('\n')) output.errors.pop_back();
    // Of a process that broke down or did not start, and of another's program, the words are not for clients: they are in the log.
    const bool own = WIFEXITED(status) && (WEXITSTATUS(status) == kNotInstalled || (kind != "pdf" && WEXITSTATUS(status) == 1));
    if (!own)
      log::warn("a document could not be converted", {{"kind", kind}, {"how", WIFEXITED(status) ? "exit" : "signal"},
                                                      {"number", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)}, {"said", output.errors.substr(0, 500)}});
    if (!own && kind != "pdf") return fail(Code::InvalidInput, "the document could not be read: it is damaged, or takes too much time or memory");
    if (!own) return fail(Code::InvalidInput, "the PDF could not be read: it is damaged or encrypted, or takes too much time or memory");
    return fail(Code::InvalidInput, "{}", output.errors.empty() ? "the document could not be read" : output.errors.substr(0, 500));
  }
  return kind == "pdf" ? convert::pages_to_markdown(output.text) : std::move(output.text);
}

}  // namespace

Converter::Converter(std::string program, int limit_ms) : program_(std::move(program)), limit_ms_(limit_ms), pool_(kAtOnce) {}

http::task<Result<std::string>> Converter::convert(std::string kind, std::string media_type, std::string bytes) {
  const auto document = std::make_shared<const std::string>(std::move(bytes));
  return pool_.run<std::string>([program = program_, limit_ms = limit_ms_, kind = std::move(kind), media_type = std::move(media_type),
                                 document](const Pool::Abandoned& abandoned) {
    return run(program, kind, media_type, *document, {limit_ms, monotonic_ms() + limit_ms, abandoned});
  });
}

}  // namespace verge::server
