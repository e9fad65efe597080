#include "commands/hosting.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <map>

#include "commands/node_package.h"
#include "commands/worker_routes.h"
#include "http/client.h"
#include "node/io/child.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::commands {
namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace {

// Ended earlier than this after a start: a crash loop, the wait before the next start doubles.
constexpr int64_t kHealthyMs = 60'000;
constexpr int64_t kFirstBackoffMs = 200, kLastBackoffMs = 30'000;
// A request waits for so long while its Worker starts for the first time.
constexpr int64_t kFirstStartMs = 15'000;

// Headers of one connection, not of the message (RFC 9110, 7.6.1); lengths are set anew.
bool is_hop_header(std::string_view name) {
  for (const char* hop : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}) {
    if (http::equal_names(name, hop)) return true;
  }
  return false;
}

http::Headers forwarded(const http::Headers& headers) {
  http::Headers kept;
  for (const http::Header& header : headers) {
    if (!is_hop_header(header.name)) kept.push_back(header);
  }
  return kept;
}

// What only the gateway says to a Worker: a client's own word on it is dropped.
// "mf-…" are the runtime's own headers.
bool is_gateway_header(std::string_view name) {
  if (name.size() > 3 && http::equal_names(name.substr(0, 3), "mf-")) return true;
  return http::equal_names(name, "cf-connecting-ip") || http::equal_names(name, "x-forwarded-proto");
}

// Letters, digits and what else a host and port are written with: it becomes part of a URL.
bool is_plain_host(std::string_view host) {
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || (c && std::strchr(".-_:[]", c)); };
  return !host.empty() && std::ranges::all_of(host, plain);
}

log::Level level_of(std::string_view console) {
  if (console == "error") return log::Level::Error;
  return console == "warn" ? log::Level::Warn : log::Level::Info;
}

// A project's folder may be its own whole world: a name that no folder of a Worker has.
constexpr const char* kRegistry = ".registry";

// "127.0.0.1:5000", "[::1]:5000" -> the address.
std::string address_of(const std::string& remote) {
  const std::string host = remote.substr(0, remote.rfind(':'));
  return host.size() > 2 && host.front() == '[' ? host.substr(1, host.size() - 2) : host;
}

// request.cf: what is known of a request here, no place or network made up.
std::string cf_of(const http::Incoming& in) {
  json::object cf{{"httpProtocol", in.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1"}};
  const std::string_view encodings = in.header("accept-encoding");
  if (!encodings.empty()) cf["clientAcceptEncoding"] = encodings;
  return json::serialize(cf);
}

http::task<void> answer(http::Responder& out, int status, const std::string& message) {
  http::Headers headers{{"content-type", "text/plain; charset=utf-8"}};
  if (status == 502) headers.push_back({"retry-after", "1"});
  std::string body = message + "\n";
  co_await out.respond(status, std::move(headers), std::move(body));
}

}  // namespace

struct HostedWorker {
  std::string folder, name;
  bool own_routes = false;  // given on the command line
  std::vector<WorkerRoute> routes;
  std::unique_ptr<node::Child> child;
  std::shared_ptr<http::Client> client;  // null while it is not up
  std::string script;  // the name in its configuration, which others bind to; known once it is up
  std::string reason;                    // why its last start failed
  std::string said;                      // beginning of a message for the log
  uint16_t port = 0;
  int restarts = 0;
  int64_t started_ms = 0, backoff_ms = kFirstBackoffMs;
};

struct Hosting::Impl : std::enable_shared_from_this<Hosting::Impl> {
  Impl(asio::any_io_executor e, HostingOptions o, std::function<bool(const http::RequestHead&)> api) : executor(e), options(std::move(o)), api_takes(std::move(api)) {}

  asio::any_io_executor executor;
  HostingOptions options;
  std::function<bool(const http::RequestHead&)> api_takes;
  std::unique_ptr<node::SocketFolder> sockets;
  std::vector<std::unique_ptr<HostedWorker>> workers;
  std::string server;
  bool stopping = false;

  // The Worker that takes a request: the most specific route, else the first Worker without any.
  HostedWorker* find(const http::RequestHead& head) const {
    HostedWorker* best = nullptr;
    size_t weight = 0;
    const bool api = api_takes(head);
    for (const auto& worker : workers) {
      if (worker->routes.empty() && !api && !best) best = worker.get();
      for (const WorkerRoute& route : worker->routes) {
        if (api && !route.names_host()) continue;  // the API's paths stay the API's
        if (!route.matches(head.header("host"), head.path) || route.weight() <= weight) continue;
        weight = route.weight();
        best = worker.get();
      }
    }
    return best;
  }

  void spawn(HostedWorker& worker) {
    worker.started_ms = monotonic_ms();
    node::ChildCallbacks callbacks;
    callbacks.on_status = [this, &worker](const json::object& line) { told(worker, line); };
    callbacks.on_exit = [weak = weak_from_this(), &worker](const std::string& how) {
      if (auto self = weak.lock()) self->ended(worker, how);
    };
    std::vector<std::string> argv{own_path(),     "host",
                                  worker.folder,  "--server",
                                  server,         "--persist-to",
                                  (folder() / worker.name).string(),
                                  "--registry",   (folder() / kRegistry).string()};
    if (!options.image_result.empty()) argv.insert(argv.end(), {"--image-result", options.image_result});
    auto child = node::Child::spawn(executor, argv, sockets->next(), std::move(callbacks), node::Child::Environment::Ours);
    if (child) worker.child = std::move(*child);
    else ended(worker, child.error().message);
  }

  fs::path folder() const { return fs::absolute(fs::path(options.data) / "workers"); }

  // A line of workers/src/host.mjs.
  void told(HostedWorker& worker, const json::object& line) {
    const std::string state = get_string(line, "state").value_or("");
    if (state == "ready") came_up(worker, line);
    else if (state == "failed") worker.reason = get_string(line, "error").value_or("");
    else if (state == "log") said(worker, line);
  }

  // What a Worker prints; a long message comes in pieces.
  void said(HostedWorker& worker, const json::object& line) {
    const std::string piece = get_string(line, "message").value_or("");
    if (worker.said.size() + piece.size() <= limits::kWorkerLogBytes) worker.said += piece;
    if (get_bool(line, "more").value_or(false)) return;
    const std::string console = get_string(line, "level").value_or("log");
    log::write(level_of(console), worker.said, {{"worker", worker.name}, {"console", console}});
    worker.said.clear();
  }

  void came_up(HostedWorker& worker, const json::object& line) {
    worker.reason.clear();
    worker.script = get_string(line, "name").value_or("");
    for (const auto& other : workers) {
      if (other.get() != &worker && other->client && other->script == worker.script)
        log::error("two hosted Workers have one name in their configuration; bindings reach one of them only",
                   {{"name", worker.script}, {"worker", worker.name}, {"other", other->name}});
    }
    worker.port = static_cast<uint16_t>(get_int(line, "port").value_or(0));
    http::Endpoint endpoint;
    endpoint.host = "127.0.0.1";
    endpoint.port = worker.port;
    http::ClientOptions client_options;
    client_options.read_timeout_ms = limits::kWorkerAnswerMs;
    worker.client = std::make_shared<http::Client>(executor, endpoint, client_options);
    if (!worker.own_routes) {
      worker.routes.clear();
      if (const json::array* routes = get_array(line, "routes")) {
        for (const json::value& pattern : *routes) {
          auto route = pattern.is_string() ? WorkerRoute::parse(pattern.as_string()) : Result<WorkerRoute>(fail(Code::InvalidInput, "a route must be text"));
          if (route) worker.routes.push_back(std::move(*route));
          else log::warn("route left out", {{"worker", worker.name}, {"error", route.error().message}});
        }
      }
    }
    log::info("worker up", {{"worker", worker.name}, {"port", static_cast<int>(worker.port)}, {"routes", static_cast<int>(worker.routes.size())}});
  }

  void ended(HostedWorker& worker, const std::string& how) {
    worker.client.reset();
    if (stopping) return;
    worker.backoff_ms = monotonic_ms() - worker.started_ms > kHealthyMs ? kFirstBackoffMs : std::min(worker.backoff_ms * 2, kLastBackoffMs);
    ++worker.restarts;
    if (worker.reason.empty())
      log::error("worker ended", {{"worker", worker.name}, {"how", how}, {"restart_in_ms", worker.backoff_ms}});
    else
      log::error("worker did not start",
                 {{"worker", worker.name}, {"error", worker.reason}, {"retry_in_ms", worker.backoff_ms}});
    auto timer = std::make_shared<asio::steady_timer>(executor, std::chrono::milliseconds(worker.backoff_ms));
    timer->async_wait([weak = weak_from_this(), &worker, timer](boost::system::error_code) {
      auto self = weak.lock();
      if (self && !self->stopping) self->spawn(worker);
    });
  }

  http::task<void> forward(HostedWorker& worker, http::Incoming& in, http::Responder& out) {
    // The first start takes seconds; who comes meanwhile waits.
    const int64_t end = monotonic_ms() + kFirstStartMs;
    asio::steady_timer timer(executor);
    while (!worker.client && worker.restarts == 0 && worker.reason.empty() && monotonic_ms() < end) {
      timer.expires_after(std::chrono::milliseconds(20));
      co_await timer.async_wait(asio::use_awaitable);
    }
    auto client = worker.client;
    if (!client) {
      co_await answer(out, 502, "The Worker " + worker.name + " is not running; it is started again. See the server's log.");
      co_return;
    }
    const std::string host(in.header("host"));
    if (!is_plain_host(host) || !in.target.starts_with('/')) {
      co_await answer(out, 400, "The request names no host.");
      co_return;
    }
    http::ClientRequest request;
    request.method = in.method;
    // The Worker's socket takes requests as a proxy does, with the whole URL.
    request.target = (in.tls ? "https://" : "http://") + host + in.target;
    request.headers = forwarded(in.headers);
    std::erase_if(request.headers, [](const http::Header& one) { return is_gateway_header(one.name); });
    request.headers.push_back({"x-forwarded-proto", in.tls ? "https" : "http"});
    request.headers.push_back({"cf-connecting-ip", address_of(in.remote)});
    request.headers.push_back({"mf-cf-blob", cf_of(in)});
    request.body = std::move(in.body);
    auto response = co_await client->send(std::move(request));
    if (!response) {
      const bool late = response.error().code == Code::Timeout;
      log::error("worker gave no answer", {{"worker", worker.name}, {"error", response.error().message}});
      const std::string what = late ? " gave no answer in time." : " ended during the request.";
      co_await answer(out, late ? 504 : 502, "The Worker " + worker.name + what);
      co_return;
    }
    const bool started = co_await out.start((*response)->status, forwarded((*response)->headers));
    while (started) {
      auto piece = co_await (*response)->read();
      // Broken in the middle: the client must see a broken answer, not a short one.
      if (!piece) throw std::runtime_error("the Worker " + worker.name + " broke off its answer: " + piece.error().message);
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

Result<std::unique_ptr<Hosting>> Hosting::make(asio::any_io_executor executor, HostingOptions options, std::function<bool(const http::RequestHead&)> api_takes) {
  auto impl = std::make_shared<Impl>(executor, std::move(options), std::move(api_takes));
  VERGE_ASSIGN(sockets, node::SocketFolder::make());
  impl->sockets = std::move(sockets);
  for (const std::string& text : impl->options.workers) {
    auto worker = std::make_unique<HostedWorker>();
    const size_t equals = text.find('=');
    std::error_code ec;
    const fs::path folder = fs::canonical(equals == std::string::npos ? text : text.substr(equals + 1), ec);
    if (ec || !fs::is_directory(folder, ec)) return fail(Code::Io, "--worker {}: no such folder", text);
    worker->folder = folder.string();
    worker->name = folder.filename().string();
    if (equals != std::string::npos) {
      VERGE_ASSIGN(route, WorkerRoute::parse(text.substr(0, equals)));
      worker->routes.push_back(std::move(route));
      worker->own_routes = true;
    }
    for (const auto& other : impl->workers) {
      if (other->name == worker->name) return fail(Code::InvalidInput, "--worker {}: another Worker's folder is called {} too", text, worker->name);
    }
    impl->workers.push_back(std::move(worker));
  }
  return std::unique_ptr<Hosting>(new Hosting(std::move(impl)));
}

Result<void> Hosting::start(const std::string& server) {
  if (impl_->workers.empty()) return {};
  // Once for all of them, and here, where a missing npm is an error of the command and not of a child.
  VERGE_TRY(node_package());
  impl_->server = server;
  // Who runs now says so there; what an earlier server left is nobody's.
  std::error_code ec;
  const fs::path registry = impl_->folder() / kRegistry;
  fs::remove_all(registry, ec);
  fs::create_directories(registry, ec);
  if (!ec) fs::permissions(registry, fs::perms::owner_all, ec);
  if (ec) return fail(Code::Io, "cannot make {}: {}", registry.string(), ec.message());
  for (auto& worker : impl_->workers) impl_->spawn(*worker);
  return {};
}

bool Hosting::takes(const http::RequestHead& head) const { return !impl_->workers.empty() && impl_->find(head) != nullptr; }

bool Hosting::names_host(const http::RequestHead& head) const {
  for (const auto& worker : impl_->workers)
    for (const WorkerRoute& route : worker->routes)
      if (route.names_host() && route.matches(head.header("host"), head.path)) return true;
  return false;
}

http::task<void> Hosting::handle(http::Incoming& in, http::Responder& out) {
  if (is_runtime_path(in.path)) return answer(out, 404, "Nothing is served below /cdn-cgi/.");
  if (in.body_too_large) return answer(out, 413, "The body is larger than " + std::to_string(in.body_limit >> 20) + " MiB.");
  return impl_->forward(*impl_->find(in), in, out);
}

json::value Hosting::status() const {
  json::array list;
  for (const auto& worker : impl_->workers) {
    const char* state = worker->client ? "ready" : worker->reason.empty() ? "starting" : "failed";
    json::object row{{"name", worker->name}, {"state", state}, {"restarts", worker->restarts}};
    row["port"] = worker->client ? worker->port : 0;
    if (!worker->client && !worker->reason.empty()) row["error"] = worker->reason;
    list.push_back(std::move(row));
  }
  return list;
}

http::task<void> Hosting::stop(int limit_ms) {
  impl_->stopping = true;
  for (auto& worker : impl_->workers) {
    if (worker->child) worker->child->terminate();
  }
  const int64_t end = monotonic_ms() + limit_ms;
  asio::steady_timer timer(impl_->executor);
  const auto running = [&] { return std::ranges::any_of(impl_->workers, [](const auto& worker) { return worker->client != nullptr; }); };
  while (running() && monotonic_ms() < end) {
    timer.expires_after(std::chrono::milliseconds(10));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  for (auto& worker : impl_->workers) worker->child.reset();
}

}  // namespace verge::commands
