#include "hosting/hosting.h"

#include <openssl/crypto.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <filesystem>

#include "accounts/accounts.h"
#include "hosting/hosting_impl.h"
#include "hosting/node_package.h"
#include "support/clock.h"
#include "support/hex.h"
#include "support/random.h"

namespace verge::hosting {
namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace {

// 256 bits, in hexadecimal digits.
std::string make_secret() {
  unsigned char bytes[32];
  random_bytes(bytes, sizeof bytes);
  return hex(bytes);
}

bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

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
