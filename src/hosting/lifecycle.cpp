// A Worker's processes: their start, their change to new code, their end and the next try.
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include "hosting/hosting_impl.h"
#include "hosting/node_package.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::hosting {
namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace {

// Ended earlier than this after a start: a crash loop, the wait before the next start doubles.
constexpr int64_t kHealthyMs = 60'000;
// Of new code beside the old: a copy that no request goes to any more may end those that it has,
// then what it does after its answers.
constexpr int64_t kRetiredMs = 900'000, kAfterAnswersMs = 30'000;
// Where there must be one copy at a time: for the requests of the old one, then for its end.
constexpr int64_t kExclusiveMs = 10'000, kEndMs = 5'000;

constexpr const char* kQueues = "queues.db";

}  // namespace

fs::path Hosting::Impl::folder() const { return fs::absolute(fs::path(options.data) / "workers"); }

Result<Process> Hosting::Impl::launch(HostedWorker& worker, bool successor) {
  std::vector<std::string> argv{own_path(),
                                "host",
                                worker.folder,
                                "--persist-to",
                                (folder() / worker.name).string(),
                                "--registry",
                                (folder() / kRegistry).string(),
                                "--queues",
                                (folder() / kQueues).string()};
  if (successor) argv.emplace_back("--successor");
  if (!worker.environment.empty()) argv.insert(argv.end(), {"--env", worker.environment});
  if (!worker.secrets_file.empty()) argv.insert(argv.end(), {"--secrets", worker.secrets_file});
  if (!options.image_result.empty())
    argv.insert(argv.end(), {"--image-result", options.image_result});
  HostedProcess::Callbacks callbacks;
  // Child's callbacks come later than start() returns, and the process holds them: it is found
  // through the Worker.
  auto made = std::make_shared<std::weak_ptr<HostedProcess>>();
  const auto with = [this, &worker, made](auto then) {
    return [weak = weak_from_this(), &worker, made, then](auto&&... more) {
      auto self = weak.lock();
      Process process = made->lock();
      if (self && process) then(worker, process, more...);
    };
  };
  callbacks.built = with([this](HostedWorker& w, Process p) { built(w, p); });
  callbacks.ready = with([this](HostedWorker& w, Process p) { ready(w, p); });
  callbacks.ended =
      with([this](HostedWorker& w, Process p, const std::string& how) { ended(w, p, how); });
  VERGE_ASSIGN(process, HostedProcess::start(executor, worker.name, argv, sockets->next(),
                                             std::move(callbacks)));
  *made = process;
  return process;
}

void Hosting::Impl::start_worker(HostedWorker& worker) {
  worker.retry.reset();
  worker.again = false;
  auto process = launch(worker, false);
  if (process) worker.current = std::move(*process);
  else failed(worker, process.error().message);
}

std::string Hosting::Impl::server_of(const HostedWorker& worker) const {
  return server + "/?" + kSecretQuery + "=" + worker.secret;
}

void Hosting::Impl::built(HostedWorker& worker, const Process& process) {
  WorkerShape shape = process->shape;
  if (worker.own_routes) shape.routes = worker.shape.routes;
  if (worker.own_routes) shape.called_only = false;
  const bool was_known = std::exchange(worker.known, true);
  auto fits = check(&worker, shape);
  if (!fits) {
    worker.known = was_known;
    process->reason = fits.error().message;
    return process->terminate();
  }
  process->shape = std::move(shape);
  if (process == worker.current) worker.shape = process->shape;
  if (process != worker.next || !process->shape.exclusive || !worker.serves())
    return process->run(server_of(worker));
  // Two copies of a Durable Object must not run: the old one ends first, and who comes meanwhile
  // waits.
  worker.changing = true;
  spawn(executor, "changing a Worker",
        [self = shared_from_this(), &worker, process]() -> asio::awaitable<void> {
          Process old = worker.current;
          co_await self->until([&] { return old->in_flight == 0 || old->ended; }, kExclusiveMs);
          old->retire();
          old->terminate();
          co_await self->until([&] { return old->ended; }, kEndMs);
          if (process == worker.next && !process->ended) process->run(self->server_of(worker));
        });
}

void Hosting::Impl::ready(HostedWorker& worker, const Process& process) {
  worker.reason.clear();
  worker.changing = false;
  if (worker.current && worker.current != process) worker.current->retire();
  process->live();
  if (process == worker.next) {
    ++worker.reloads;
    worker.reload_error.clear();
    Process old = std::exchange(worker.current, std::exchange(worker.next, nullptr));
    worker.shape = process->shape;
    if (old && !old->ended) retire(worker, std::move(old));
    log::info("worker runs new code",
              {{"worker", worker.name}, {"port", static_cast<int>(process->port)}});
  } else {
    log::info("worker up", {{"worker", worker.name},
                            {"port", static_cast<int>(process->port)},
                            {"routes", static_cast<int>(worker.shape.routes.size())}});
  }
  counters.up.set(1, {worker.name});
  if (std::exchange(worker.again, false)) reload(worker);
}

// Lets it end what it has begun.
void Hosting::Impl::retire(HostedWorker& worker, Process old) {
  worker.retired.push_back(old);
  spawn(executor, "retiring a Worker",
        [self = shared_from_this(), old]() -> asio::awaitable<void> {
          co_await self->until([&] { return old->in_flight == 0 || old->ended; }, kRetiredMs);
          // What it does after its answers: waitUntil() has as long on Cloudflare.
          co_await self->until([&] { return old->ended; }, kAfterAnswersMs);
          old->terminate();
        });
}

asio::awaitable<void> Hosting::Impl::until(std::function<bool()> done, int64_t limit_ms) {
  const int64_t end = monotonic_ms() + limit_ms;
  asio::steady_timer timer(executor);
  while (!done() && !stopping && monotonic_ms() < end) {
    timer.expires_after(std::chrono::milliseconds(20));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void Hosting::Impl::ended(HostedWorker& worker, const Process& process, const std::string& how) {
  if (std::erase(worker.retired, process) > 0 || stopping) return;
  const std::string why = process->reason.empty() ? "the process ended: " + how : process->reason;
  if (process == worker.next) {
    worker.next.reset();
    worker.changing = false;
    worker.reload_error = why;
    log::error("new code of a worker does not run; what ran before goes on",
               {{"worker", worker.name}, {"error", why}});
    if (worker.serves()) {
      if (std::exchange(worker.again, false)) reload(worker);
      return;
    }
    if (worker.current && !worker.current->ended) return;
    return failed(worker, why);
  }
  if (process != worker.current) return;
  counters.up.set(0, {worker.name});
  // Its successor is on the way; what it waited for is over.
  if (worker.next) return;
  const bool healthy = process->reason.empty() && process->port &&
                       monotonic_ms() - process->started_ms > kHealthyMs;
  if (healthy) worker.backoff_ms = kFirstBackoffMs;
  worker.reason = process->reason;
  failed(worker, why);
}

// Starts it again, later.
void Hosting::Impl::failed(HostedWorker& worker, const std::string& why) {
  worker.backoff_ms = std::min(worker.backoff_ms * 2, kLastBackoffMs);
  ++worker.restarts;
  counters.restarts.add(1, {worker.name});
  if (worker.reason.empty())
    log::error("worker ended",
               {{"worker", worker.name}, {"how", why}, {"restart_in_ms", worker.backoff_ms}});
  else
    log::error(
        "worker did not start",
        {{"worker", worker.name}, {"error", worker.reason}, {"retry_in_ms", worker.backoff_ms}});
  again_in(worker, worker.backoff_ms);
}

void Hosting::Impl::again_in(HostedWorker& worker, int64_t ms) {
  worker.retry = std::make_shared<asio::steady_timer>(executor, std::chrono::milliseconds(ms));
  worker.retry->async_wait(
      [weak = weak_from_this(), &worker, timer = worker.retry](boost::system::error_code) {
        auto self = weak.lock();
        if (self && !self->stopping && worker.retry == timer) self->start_worker(worker);
      });
}

void Hosting::Impl::reload(HostedWorker& worker) {
  if (stopping) return;
  if (worker.retry) {  // it waits to be tried again: now, then
    worker.backoff_ms = kFirstBackoffMs;
    return again_in(worker, 0);
  }
  if (worker.next || !worker.serves()) {  // what it builds may be older than what is there
    worker.again = true;
    return;
  }
  auto process = launch(worker, true);
  if (process) {
    worker.next = std::move(*process);
  } else {
    worker.reload_error = process.error().message;
    log::error("new code of a worker does not run; what ran before goes on",
               {{"worker", worker.name}, {"error", worker.reload_error}});
  }
}

}  // namespace verge::hosting
