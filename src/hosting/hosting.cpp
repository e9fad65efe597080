#include "hosting/hosting.h"

#include <openssl/crypto.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <filesystem>
#include <map>

#include "accounts/accounts.h"
#include "hosting/hosted_process.h"
#include "hosting/node_package.h"
#include "hosting/worker_request.h"
#include "hosting/worker_routes.h"
#include "node/io/child.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/hex.h"
#include "support/log.h"
#include "support/random.h"
#include "support/spawn.h"

namespace verge::hosting {
namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace {

// Ended earlier than this after a start: a crash loop, the wait before the next start doubles.
constexpr int64_t kHealthyMs = 60'000;
constexpr int64_t kFirstBackoffMs = 200, kLastBackoffMs = 30'000;
// A request waits for so long while its Worker starts for the first time.
constexpr int64_t kFirstStartMs = 15'000;
// Of new code beside the old: a copy that no request goes to any more may end those that it has,
// then what it does after its answers.
constexpr int64_t kRetiredMs = 900'000, kAfterAnswersMs = 30'000;
// Where there must be one copy at a time: for the requests of the old one, then for its end.
constexpr int64_t kExclusiveMs = 10'000, kEndMs = 5'000;

// A project's folder may be its own whole world: a name that no folder of a Worker has.
constexpr const char* kRegistry = ".registry";
constexpr const char* kQueues = "queues.db";

http::task<void> answer(http::Responder& out, int status, const std::string& message) {
  http::Headers headers{{"content-type", "text/plain; charset=utf-8"}};
  if (status == 502 || status == 503) headers.push_back({"retry-after", "1"});
  std::string body = message + "\n";
  co_await out.respond(status, std::move(headers), std::move(body));
}

// 256 bits, in hexadecimal digits.
std::string make_secret() {
  unsigned char bytes[32];
  random_bytes(bytes, sizeof bytes);
  return hex(bytes);
}

bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// What the query of a Worker's env.AI is called by.
constexpr const char* kSecretQuery = "verge_worker";

struct Counters {
  explicit Counters(metrics::Registry& registry)
      : requests(registry.counter("verge_worker_requests_total",
                                  "Requests of hosted Workers answered.", {"worker", "status"})),
        restarts(registry.counter("verge_worker_restarts_total",
                                  "Ends of hosted Workers' processes, failed starts too.",
                                  {"worker"})),
        duration(registry.histogram("verge_worker_request_duration_seconds",
                                    "Time from a hosted Worker's request to the end of its answer.",
                                    {"worker"})),
        up(registry.gauge("verge_worker_up", "1 where the hosted Worker runs.", {"worker"})),
        in_flight(registry.gauge("verge_worker_requests_in_flight",
                                 "Requests of hosted Workers whose answer is not finished.",
                                 {"worker"})) {}
  metrics::Counter requests, restarts;
  metrics::Histogram duration;
  metrics::Gauge up, in_flight;
};

}  // namespace

using Process = std::shared_ptr<HostedProcess>;

struct HostedWorker {
  std::string folder, name, environment, secrets_file;
  bool own_routes = false;  // given on the command line
  WorkerShape shape;        // of its configuration; the one that is served
  bool known = false;       // the configuration was read
  api::Vouched vouched;
  std::string secret;
  Process current;               // takes its requests, or starts for the first time
  Process next;                  // new code beside it
  std::vector<Process> retired;  // finish what they have begun
  bool again = false;            // asked to reload while it was about to start
  bool changing = false;     // the old one has to end before the new one may start: requests wait
  std::string reason;        // why it does not run
  std::string reload_error;  // why it still runs what it ran
  int restarts = 0, reloads = 0;
  int64_t backoff_ms = kFirstBackoffMs;
  std::shared_ptr<asio::steady_timer> retry;

  bool serves() const { return current && current->client; }
};

struct Hosting::Impl : std::enable_shared_from_this<Hosting::Impl> {
  Impl(asio::any_io_executor e, HostingOptions o, std::function<bool(const http::RequestHead&)> api)
      : executor(e), options(std::move(o)), api_takes(std::move(api)), counters(*options.metrics) {}

  asio::any_io_executor executor;
  HostingOptions options;
  std::function<bool(const http::RequestHead&)> api_takes;
  Counters counters;
  std::unique_ptr<node::SocketFolder> sockets;
  std::vector<std::unique_ptr<HostedWorker>> workers;
  std::string server;
  bool stopping = false;

  static RouteClaim claim_of(const HostedWorker& worker, const WorkerShape& shape) {
    // Whose configuration could not be read takes nothing: it may well have routes.
    return {worker.name, shape.routes, worker.known && shape.routes.empty() && !shape.called_only};
  }

  // The Worker that takes a request: the most specific route, else the one without any.
  HostedWorker* find(const http::RequestHead& head) const {
    HostedWorker* best = nullptr;
    size_t weight = 0;
    const bool api = api_takes(head);
    for (const auto& worker : workers) {
      if (claim_of(*worker, worker->shape).rest && !api && !best) best = worker.get();
      for (const WorkerRoute& route : worker->shape.routes) {
        if (api && !route.names_host()) continue;  // the API's paths stay the API's
        if (!route.matches(head.header("host"), head.path) || route.weight() <= weight) continue;
        weight = route.weight();
        best = worker.get();
      }
    }
    return best;
  }

  fs::path folder() const { return fs::absolute(fs::path(options.data) / "workers"); }

  // Whether all Workers can have what they want, `changed` in its new shape.
  Result<void> check(const HostedWorker* changed, const WorkerShape& shape) const {
    std::vector<RouteClaim> claims;
    std::map<std::string, std::string> scripts, consumers;
    for (const auto& worker : workers) {
      const WorkerShape& its = worker.get() == changed ? shape : worker->shape;
      claims.push_back(claim_of(*worker, its));
      if (!worker->known) continue;
      if (auto [other, fresh] = scripts.emplace(its.script, worker->name); !fresh)
        return fail(Code::InvalidInput,
                    "the Workers {} and {} have one name in their configurations, '{}': bindings "
                    "could reach one of them only",
                    other->second, worker->name, its.script);
      for (const std::string& queue : its.queues)
        if (auto [other, fresh] = consumers.emplace(queue, worker->name); !fresh)
          return fail(Code::InvalidInput,
                      "the Workers {} and {} both consume queue '{}', which has one consumer",
                      other->second, worker->name, queue);
    }
    return check_claims(claims, options.own_hosts, api::Api::example_paths());
  }

  Result<Process> launch(HostedWorker& worker, bool successor) {
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

  void start_worker(HostedWorker& worker) {
    worker.retry.reset();
    worker.again = false;
    auto process = launch(worker, false);
    if (process) worker.current = std::move(*process);
    else failed(worker, process.error().message);
  }

  std::string server_of(const HostedWorker& worker) const {
    return server + "/?" + kSecretQuery + "=" + worker.secret;
  }

  void built(HostedWorker& worker, const Process& process) {
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

  void ready(HostedWorker& worker, const Process& process) {
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
  void retire(HostedWorker& worker, Process old) {
    worker.retired.push_back(old);
    spawn(executor, "retiring a Worker",
          [self = shared_from_this(), old]() -> asio::awaitable<void> {
            co_await self->until([&] { return old->in_flight == 0 || old->ended; }, kRetiredMs);
            // What it does after its answers: waitUntil() has as long on Cloudflare.
            co_await self->until([&] { return old->ended; }, kAfterAnswersMs);
            old->terminate();
          });
  }

  asio::awaitable<void> until(std::function<bool()> done, int64_t limit_ms) {
    const int64_t end = monotonic_ms() + limit_ms;
    asio::steady_timer timer(executor);
    while (!done() && !stopping && monotonic_ms() < end) {
      timer.expires_after(std::chrono::milliseconds(20));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  void ended(HostedWorker& worker, const Process& process, const std::string& how) {
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
  void failed(HostedWorker& worker, const std::string& why) {
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

  void again_in(HostedWorker& worker, int64_t ms) {
    worker.retry = std::make_shared<asio::steady_timer>(executor, std::chrono::milliseconds(ms));
    worker.retry->async_wait(
        [weak = weak_from_this(), &worker, timer = worker.retry](boost::system::error_code) {
          auto self = weak.lock();
          if (self && !self->stopping && worker.retry == timer) self->start_worker(worker);
        });
  }

  void reload(HostedWorker& worker) {
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

  // The line of the access log and the metrics of one request.
  struct Record {
    Impl& impl;
    const HostedWorker& worker;
    const http::Incoming& in;
    int64_t started_us = monotonic_us();
    int status = 0;  // 0 = the client left before an answer
    Record(Impl& i, const HostedWorker& w, const http::Incoming& r) : impl(i), worker(w), in(r) {
      impl.counters.in_flight.add(1, {worker.name});
    }
    ~Record() {
      const double seconds = static_cast<double>(monotonic_us() - started_us) / 1e6;
      impl.counters.in_flight.add(-1, {worker.name});
      impl.counters.requests.add(1, {worker.name, status ? std::to_string(status) : "client_gone"});
      impl.counters.duration.observe(seconds, {worker.name});
      log::info("worker request", {{"worker", worker.name},
                                   {"method", in.method},
                                   {"host", in.header("host")},
                                   {"path", in.path},
                                   {"status", status},
                                   {"ms", seconds * 1e3},
                                   {"remote", in.remote}});
    }
  };

  http::task<void> refuse(Record& record, http::Responder& out, int status, std::string message) {
    record.status = status;
    return answer(out, status, std::move(message));
  }

  http::task<void> forward(HostedWorker& worker, http::Incoming& in, http::Responder& out) {
    Record record(*this, worker, in);
    if (is_runtime_path(in.path)) {
      co_await refuse(record, out, 404, "Nothing is served below /cdn-cgi/.");
      co_return;
    }
    if (in.body_too_large) {
      co_await refuse(record, out, 413,
                      "The body is larger than " + std::to_string(in.body_limit >> 20) + " MiB.");
      co_return;
    }
    // The first start takes seconds, as does a change from one copy to the next; who comes
    // meanwhile waits.
    const auto comes = [&] {
      return worker.changing || (worker.current && !worker.current->ended &&
                                 !worker.current->client && worker.restarts == 0);
    };
    const auto settled = [&] { return (worker.serves() && !worker.changing) || !comes(); };
    if (!settled()) {
      std::function<bool()> done = settled;
      co_await until(std::move(done), kFirstStartMs);
    }
    Process process = worker.current;
    auto client = process ? process->client : nullptr;
    if (!client || worker.changing) {
      const bool faulty = !worker.reason.empty();
      co_await refuse(
          record, out, 503,
          "The Worker " + worker.name +
              (faulty ? " could not be started." : " is not running; it is started again.") +
              " See the server's log.");
      co_return;
    }
    ++process->in_flight;
    const Finally leave{[process] { --process->in_flight; }};
    if (!names_plain_host(in)) {
      co_await refuse(record, out, 400, "The request names no host.");
      co_return;
    }
    http::ClientRequest request = request_for_worker(in);
    auto response = co_await client->send(std::move(request));
    if (!response) {
      const bool late = response.error().code == Code::Timeout;
      log::error("worker gave no answer",
                 {{"worker", worker.name}, {"error", response.error().message}});
      const std::string what = late ? " gave no answer in time." : " ended during the request.";
      co_await refuse(record, out, late ? 504 : 502, "The Worker " + worker.name + what);
      co_return;
    }
    record.status = (*response)->status;
    const bool started = co_await out.start((*response)->status, end_to_end((*response)->headers));
    while (started) {
      auto piece = co_await (*response)->read();
      // Broken in the middle: the client must see a broken answer, not a short one.
      if (!piece)
        throw std::runtime_error("the Worker " + worker.name +
                                 " broke off its answer: " + piece.error().message);
      if (piece->empty()) {
        co_await out.finish();
        break;
      }
      const bool written = co_await out.write(*piece);
      if (!written) { break; }
    }
  }
};

Hosting::Hosting(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Hosting::~Hosting() = default;

namespace {

// "NAME=VALUE" of an option, for the Worker of that name.
Result<void> set_each(const char* option, const std::vector<std::string>& texts,
                      const std::vector<std::unique_ptr<HostedWorker>>& workers,
                      const std::function<Result<void>(HostedWorker&, std::string)>& set) {
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      return fail(Code::InvalidInput, "{} wants NAME=VALUE, not '{}'", option, text);
    const std::string name = text.substr(0, equals);
    const auto found =
        std::ranges::find_if(workers, [&](const auto& worker) { return worker->name == name; });
    if (found == workers.end())
      return fail(Code::InvalidInput, "{} {}: no hosted Worker's folder is called {}", option, text,
                  name);
    VERGE_TRY(set(**found, text.substr(equals + 1)));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Hosting>> Hosting::make(
    asio::any_io_executor executor, HostingOptions options,
    std::function<bool(const http::RequestHead&)> api_takes) {
  auto impl = std::make_shared<Impl>(executor, std::move(options), std::move(api_takes));
  VERGE_ASSIGN(sockets, node::SocketFolder::make());
  impl->sockets = std::move(sockets);
  for (const std::string& text : impl->options.workers) {
    auto worker = std::make_unique<HostedWorker>();
    const size_t equals = text.find('=');
    std::error_code ec;
    const fs::path folder =
        fs::canonical(equals == std::string::npos ? text : text.substr(equals + 1), ec);
    if (ec || !fs::is_directory(folder, ec))
      return fail(Code::Io, "--worker {}: no such folder", text);
    worker->folder = folder.string();
    worker->name = folder.filename().string();
    worker->vouched = {worker->name, "default"};
    worker->secret = make_secret();
    if (equals != std::string::npos) {
      VERGE_ASSIGN(route, WorkerRoute::parse(text.substr(0, equals)));
      worker->shape.routes.push_back(std::move(route));
      worker->own_routes = true;
    }
    for (const auto& other : impl->workers) {
      if (other->name == worker->name)
        return fail(Code::InvalidInput, "--worker {}: another Worker's folder is called {} too",
                    text, worker->name);
    }
    impl->workers.push_back(std::move(worker));
  }
  VERGE_TRY(set_each(
      "--worker-account", impl->options.accounts, impl->workers,
      [](HostedWorker& worker, std::string value) -> Result<void> {
        if (!accounts::valid_account(value))
          return fail(Code::InvalidInput,
                      "--worker-account: '{}' is no account: 1 to 64 letters, digits, - or _",
                      value);
        worker.vouched.account = std::move(value);
        return {};
      }));
  VERGE_TRY(set_each("--worker-env", impl->options.environments, impl->workers,
                     [](HostedWorker& worker, std::string value) -> Result<void> {
                       worker.environment = std::move(value);
                       return {};
                     }));
  VERGE_TRY(set_each("--worker-secrets", impl->options.secrets, impl->workers,
                     [](HostedWorker& worker, std::string value) -> Result<void> {
                       std::error_code ec;
                       worker.secrets_file = fs::absolute(value, ec).string();
                       if (!fs::is_regular_file(worker.secrets_file, ec))
                         return fail(Code::Io, "--worker-secrets: no such file: {}", value);
                       return {};
                     }));
  return std::unique_ptr<Hosting>(new Hosting(std::move(impl)));
}

Result<void> Hosting::start(const std::string& server) {
  if (impl_->workers.empty()) return {};
  // Once for all of them, and here, where a missing npm is an error of the command and not of a
  // child.
  VERGE_ASSIGN(package, node_package());
  impl_->server = server;
  json::array projects;
  for (const auto& worker : impl_->workers)
    projects.push_back(json::object{{"project", worker->folder}, {"env", worker->environment}});
  VERGE_ASSIGN(described, run_package(package, {"describe", json::serialize(projects)}));
  VERGE_ASSIGN(parsed, parse_json(described));
  const json::array* rows = parsed.if_array();
  if (!rows || rows->size() != impl_->workers.size())
    return fail(Code::Internal, "the Workers' configurations could not be read: {}", described);
  for (size_t i = 0; i < rows->size(); ++i) {
    HostedWorker& worker = *impl_->workers[i];
    const json::object& row = (*rows)[i].as_object();
    if (auto error = get_string(row, "error")) {
      worker.reason = *error;  // its process says so again, and is tried again
      continue;
    }
    VERGE_ASSIGN(shape, read_shape(row));
    if (worker.own_routes) shape.routes = worker.shape.routes;
    if (worker.own_routes) shape.called_only = false;
    worker.shape = std::move(shape);
    worker.known = true;
  }
  VERGE_TRY(impl_->check(nullptr, {}));
  // Who runs now says so there; what an earlier server left is nobody's.
  std::error_code ec;
  const fs::path registry = impl_->folder() / kRegistry;
  fs::remove_all(registry, ec);
  fs::create_directories(registry, ec);
  if (!ec) fs::permissions(registry, fs::perms::owner_all, ec);
  if (ec) return fail(Code::Io, "cannot make {}: {}", registry.string(), ec.message());
  for (auto& worker : impl_->workers) impl_->start_worker(*worker);
  return {};
}

void Hosting::reload() {
  for (auto& worker : impl_->workers) impl_->reload(*worker);
}

bool Hosting::takes(const http::RequestHead& head) const {
  return !impl_->workers.empty() && impl_->find(head) != nullptr;
}

bool Hosting::names_host(const http::RequestHead& head) const {
  for (const auto& worker : impl_->workers)
    for (const WorkerRoute& route : worker->shape.routes)
      if (route.names_host() && route.matches(head.header("host"), head.path)) return true;
  return false;
}

http::task<void> Hosting::handle(http::Incoming& in, http::Responder& out) {
  return impl_->forward(*impl_->find(in), in, out);
}

const api::Vouched* Hosting::vouched(const http::RequestHead& head) const {
  const auto secret = head.query_param(kSecretQuery);
  if (!secret) return nullptr;
  const api::Vouched* found = nullptr;
  for (const auto& worker : impl_->workers)
    if (same_secret(*secret, worker->secret)) found = &worker->vouched;
  return found;
}

json::value Hosting::status() const {
  json::array list;
  for (const auto& worker : impl_->workers) {
    const bool up = worker->serves();
    const char* state = up ? "ready" : worker->reason.empty() ? "starting" : "failed";
    json::object row{{"name", worker->name},
                     {"state", state},
                     {"restarts", worker->restarts},
                     {"reloads", worker->reloads}};
    row["port"] = up ? worker->current->port : 0;
    row["account"] = worker->vouched.account;
    json::array routes;
    for (const WorkerRoute& route : worker->shape.routes) routes.emplace_back(route.pattern());
    row["routes"] = std::move(routes);
    if (worker->next) row["reloading"] = true;
    if (!up && !worker->reason.empty()) row["error"] = worker->reason;
    if (!worker->reload_error.empty()) row["reload_error"] = worker->reload_error;
    list.push_back(std::move(row));
  }
  return list;
}

http::task<void> Hosting::stop(int limit_ms) {
  impl_->stopping = true;
  std::vector<Process> all;
  for (auto& worker : impl_->workers) {
    for (const Process& process : {worker->current, worker->next})
      if (process && !process->ended) all.push_back(process);
    all.insert(all.end(), worker->retired.begin(), worker->retired.end());
  }
  for (const Process& process : all) process->terminate();
  const int64_t end = monotonic_ms() + limit_ms;
  asio::steady_timer timer(impl_->executor);
  const auto running = [&] {
    return std::ranges::any_of(all, [](const Process& process) { return !process->ended; });
  };
  while (running() && monotonic_ms() < end) {
    timer.expires_after(std::chrono::milliseconds(10));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  all.clear();
  for (auto& worker : impl_->workers) {
    worker->current.reset();
    worker->next.reset();
    worker->retired.clear();
  }
}

}  // namespace verge::hosting
