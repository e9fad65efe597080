#include "node/io/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <filesystem>
#include <istream>

#include "support/environment.h"
#include "support/shortage.h"

namespace verge::node {
namespace {

namespace asio = boost::asio;

constexpr size_t kStatusLineBytes = 64 << 10;

struct Fd {
  int fd = -1;
  explicit Fd(int f) : fd(f) {}
  ~Fd() { if (fd >= 0) ::close(fd); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int release() { return std::exchange(fd, -1); }
};

// What the machine has too little of at the moment, or a fault.
Error os_error(std::string_view doing, int error) {
  const bool scarce = error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN || error == ENOBUFS;
  std::string message = fmt::format("{}: {}", doing, strerror(error));
  return scarce ? shortage(std::move(message)) : Error{Code::Internal, std::move(message)};
}

Result<int> listen_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Code::Internal, "socket path {} is too long", path);
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.fd < 0) return os_error("cannot make a socket", errno);
  ::unlink(path.c_str());
  if (::bind(fd.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 || ::listen(fd.fd, 512) < 0)
    return os_error(fmt::format("cannot listen on {}", path), errno);
  return fd.release();
}

std::string describe(int status) {
  if (WIFEXITED(status)) return fmt::format("exit {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
  return fmt::format("status {}", status);
}

// Shared with the pending reads, so that they outlive the Child that is destroyed in a callback.
struct Shared {
  Shared(asio::any_io_executor executor, int pipe_fd, int pid_fd) : pipe(executor, pipe_fd), exit(executor, pid_fd), buffer(kStatusLineBytes) {}
  asio::posix::stream_descriptor pipe;
  asio::posix::stream_descriptor exit;
  asio::streambuf buffer;
  ChildCallbacks callbacks;
  int pid = 0;
  bool reaped = false;
  bool pipe_open = true;
  bool exited = false;
  std::string how;
};

// on_exit waits for the pipe's end, so that a last "failed" line is never lost behind the exit.
void finish(const std::shared_ptr<Shared>& shared) {
  if (!shared->exited || shared->pipe_open || !shared->callbacks.on_exit) return;
  auto on_exit = std::exchange(shared->callbacks.on_exit, nullptr);
  shared->callbacks.on_status = nullptr;
  on_exit(shared->how);
}

void read_status(const std::shared_ptr<Shared>& shared) {
  asio::async_read_until(shared->pipe, shared->buffer, '\n', [shared](boost::system::error_code ec, size_t) {
    if (ec) {
      shared->pipe_open = false;
      finish(shared);
      return;
    }
    std::istream stream(&shared->buffer);
    std::string line;
    std::getline(stream, line);
    auto parsed = parse_json(line);
    if (parsed && parsed->is_object() && shared->callbacks.on_status) shared->callbacks.on_status(parsed->get_object());
    read_status(shared);
  });
}

void watch_exit(const std::shared_ptr<Shared>& shared) {
  shared->exit.async_wait(asio::posix::stream_descriptor::wait_read, [shared](boost::system::error_code ec) {
    if (ec) return;
    int status = 0;
    if (::waitpid(shared->pid, &status, 0) == shared->pid) shared->how = describe(status);
    shared->reaped = true;
    shared->exited = true;
    finish(shared);
  });
}

class ChildProcess : public Child {
 public:
  ChildProcess(std::shared_ptr<Shared> shared, std::string socket_path, int life_fd)
      : shared_(std::move(shared)), socket_path_(std::move(socket_path)), life_(life_fd) {}
  ~ChildProcess() override {
    shared_->callbacks = {};
    boost::system::error_code ignored;
    shared_->exit.cancel(ignored);
    shared_->pipe.cancel(ignored);
    if (!shared_->reaped) {
      ::kill(shared_->pid, SIGKILL);
      int status = 0;
      ::waitpid(shared_->pid, &status, 0);
      shared_->reaped = true;
    }
    ::unlink(socket_path_.c_str());
  }
  int pid() const override { return shared_->pid; }
  const std::string& socket_path() const override { return socket_path_; }
  void say(std::string_view line) override {
    const std::string text = std::string(line) + "\n";
    [[maybe_unused]] const ssize_t written = ::write(life_.fd, text.data(), text.size());
  }
  void terminate() override { if (!shared_->reaped) ::kill(shared_->pid, SIGTERM); }
  void kill() override { if (!shared_->reaped) ::kill(shared_->pid, SIGKILL); }

 private:
  std::shared_ptr<Shared> shared_;
  std::string socket_path_;
  Fd life_;
};

}  // namespace

Result<std::unique_ptr<Child>> Child::spawn(boost::asio::any_io_executor executor, const std::vector<std::string>& argv,
                                            const std::string& socket_path, ChildCallbacks callbacks,
                                            Environment environment) {
  VERGE_ASSIGN(listener, listen_unix(socket_path));
  Fd socket(listener);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return os_error("cannot make a pipe", errno);
  Fd read_end(ends[0]), write_end(ends[1]);
  // The child's stdin is a pipe, which a worker never reads: its end tells a worker that its node is gone.
  int life[2];
  if (::pipe2(life, O_CLOEXEC) < 0) return os_error("cannot make a pipe", errno);
  Fd life_read(life[0]), life_write(life[1]);
  ::fcntl(life_write.fd, F_SETFL, O_NONBLOCK);

  // The child sees 0 = the life pipe, 1 = 2 = our stderr (logs), 3 = status, 4 = socket and nothing else.
  // The originals are moved out of the way first: dup2 of a descriptor onto itself keeps CLOEXEC.
  Fd status_fd(::fcntl(write_end.fd, F_DUPFD_CLOEXEC, 10)), socket_fd(::fcntl(socket.fd, F_DUPFD_CLOEXEC, 10));
  Fd life_fd(::fcntl(life_read.fd, F_DUPFD_CLOEXEC, 10));
  if (status_fd.fd < 0 || socket_fd.fd < 0 || life_fd.fd < 0) return os_error("cannot copy a descriptor", errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, life_fd.fd, 0);
  posix_spawn_file_actions_adddup2(&actions, 2, 1);
  posix_spawn_file_actions_adddup2(&actions, status_fd.fd, 3);
  posix_spawn_file_actions_adddup2(&actions, socket_fd.fd, 4);
  posix_spawn_file_actions_addclosefrom_np(&actions, 5);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // Its own process group: Ctrl-C reaches the server alone, which drains its workers itself.
  // Signals blocked here (by signal sets of the io loop) are open again there.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> args;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  pid_t pid = 0;
  const int rc = ::posix_spawn(&pid, args[0], &actions, &attributes, args.data(), environment == Environment::Bare ? bare_environment().data() : environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (rc != 0) return os_error(fmt::format("cannot start {}", argv[0]), rc);

  const int pid_fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pid_fd < 0) {
    const int saved = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return os_error(fmt::format("cannot watch process {}", pid), saved);
  }
  auto shared = std::make_shared<Shared>(executor, read_end.release(), pid_fd);
  shared->callbacks = std::move(callbacks);
  shared->pid = pid;
  read_status(shared);
  watch_exit(shared);
  return std::unique_ptr<Child>(new ChildProcess(std::move(shared), socket_path, life_write.release()));
}

Result<std::unique_ptr<SocketFolder>> SocketFolder::make() {
  const char* runtime = getenv("XDG_RUNTIME_DIR");
  std::vector<std::string> bases;
  if (runtime && *runtime) bases.emplace_back(runtime);
  const char* tmp = getenv("TMPDIR");
  bases.emplace_back(tmp && *tmp ? tmp : "/tmp");
  bases.emplace_back("/tmp");
  for (const std::string& base : bases) {
    std::string pattern = base + "/verge-XXXXXX";
    // A unix address holds 107 bytes; "/worker-999999.sock" must still fit.
    if (pattern.size() > 80) continue;
    if (::mkdtemp(pattern.data())) return std::unique_ptr<SocketFolder>(new SocketFolder(pattern));
  }
  return fail(Code::Io, "cannot make a folder for the sockets of processes: set XDG_RUNTIME_DIR or TMPDIR to a short, writable path");
}

SocketFolder::~SocketFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string SocketFolder::next() { return fmt::format("{}/worker-{}.sock", path_, ++count_); }

}  // namespace verge::node
