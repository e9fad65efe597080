#include "worker/worker.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <thread>

#include "engine/backends/cpu/isa.h"
#include "protocol/server.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/shortage.h"
#include "support/spawn.h"
#include "worker/confine.h"
#include "worker/model_service.h"

namespace verge::worker {
namespace asio = boost::asio;

namespace {

constexpr int kExitFailed = 3;
constexpr auto kDrainPoll = std::chrono::milliseconds(10);
constexpr int kFlushMs = 1000;  // last events on their way to the node, after the last request ended

void say(int fd, const json::object& line) {
  std::string text = json::serialize(line) + "\n";
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t n = write(fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // the node is gone; stdin says so too
    rest.remove_prefix(static_cast<size_t>(n));
  }
}

void exit_now(int) { _exit(0); }

// W3. The kernel's parent-death signal alone is not enough: it misses a parent that died before the call.
void end_with_parent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::thread([] {
    char byte;
    for (;;) {
      const ssize_t n = read(STDIN_FILENO, &byte, 1);
      if (n == 0 || (n < 0 && errno != EINTR)) _exit(0);
    }
  }).detach();
}

// Progress lines while a model loads: a step of a hundredth at least, so that a thousand tensors are not a thousand lines.
std::function<void(double)> progress_to(int fd) {
  return [fd, last = -1.0](double fraction) mutable {
    if (fraction < last + 0.01 && fraction < 1) return;
    last = fraction;
    say(fd, {{"state", "loading"}, {"progress", fraction}});
  };
}

Result<std::unique_ptr<ModelService>> open_within_memory(const asio::any_io_executor& io, const WorkerOptions& options) {
  try {
    return open_service(io, options.host, {options.node, options.id, {}});
  } catch (const std::bad_alloc&) {
    return shortage(fmt::format("there is not enough memory to load {}", options.host.path));
  }
}

protocol::task<void> drain_and_exit(ModelService& service, protocol::Server& server) {
  const int64_t end = monotonic_ms() + limits::kDrainMs;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  service.drain();
  log::info("draining", {{"requests", service.active()}});
  // The socket stays open meanwhile: who comes late is told "busy" at once.
  while (service.active() > 0 && monotonic_ms() < end) {
    timer.expires_after(kDrainPoll);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_await server.drain(kFlushMs);
  _exit(0);  // not by way of the engine's thread: a step that hangs must not keep the process
}

protocol::task<void> wait_for_signals(ModelService& service, protocol::Server& server, asio::signal_set& signals) {
  auto io = co_await asio::this_coro::executor;
  co_await signals.async_wait(asio::use_awaitable);
  spawn(io, "draining", [&service, &server] { return drain_and_exit(service, server); });
  co_await signals.async_wait(asio::use_awaitable);
  _exit(0);
}

int failed(int status_fd, const Error& error) {
  log::error("load failed", {{"error", error.message}});
  say(status_fd, {{"state", "failed"}, {"error", {{"code", to_string(error.code)}, {"message", error.message}, {"retry_after_ms", error.retry_after_ms}}}});
  return kExitFailed;
}

}  // namespace

int run_worker(WorkerOptions options) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN);  // Ctrl-C goes to the whole group; the node decides what it means
  signal(SIGHUP, SIG_IGN);
  signal(SIGTERM, exit_now);  // while loading nothing has to be drained
  end_with_parent();

  asio::io_context io(1);
  asio::signal_set signals(io);
  if (Result<void> confined = confine(options.host, options.memory_bytes); !confined) return failed(options.status_fd, confined.error());
  say(options.status_fd, {{"state", "loading"}, {"progress", 0.0}});
  options.host.progress = progress_to(options.status_fd);
  Result<std::unique_ptr<ModelService>> opened = open_within_memory(io.get_executor(), options);
  if (!opened) return failed(options.status_fd, opened.error());
  ModelService& service = **opened;
  signals.add(SIGTERM);
  protocol::Server server(io.get_executor(), service, [&service] { return service.status(); });
  if (Result<void> adopted = server.adopt(options.listen_fd); !adopted) return failed(options.status_fd, adopted.error());
  if (Result<void> settled = settle(); !settled) return failed(options.status_fd, settled.error());
  spawn(io.get_executor(), "waiting for signals", [&] { return wait_for_signals(service, server, signals); });

  json::object ready{{"state", "ready"}};
  for (auto& [key, value] : service.ready()) ready[key] = value;
  // Equal weights give equal bytes on machines of one instruction set only.
  if (auto isa = engine::cpu::choose_isa("")) ready["arithmetic"] = engine::cpu::to_string(*isa);
  say(options.status_fd, ready);
  run_loop(io);
  _exit(0);
}

}  // namespace verge::worker
