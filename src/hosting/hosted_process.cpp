#include "hosting/hosted_process.h"

#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::hosting {
namespace asio = boost::asio;
namespace {

log::Level level_of(std::string_view console) {
  if (console == "error") return log::Level::Error;
  return console == "warn" ? log::Level::Warn : log::Level::Info;
}

}  // namespace

Result<WorkerShape> read_shape(const json::object& from) {
  WorkerShape shape;
  shape.script = get_string(from, "name").value_or("");
  shape.exclusive = get_bool(from, "exclusive").value_or(false);
  if (const json::array* routes = get_array(from, "routes")) {
    for (const json::value& pattern : *routes) {
      if (!pattern.is_string()) return fail(Code::InvalidInput, "a route must be text");
      VERGE_ASSIGN(route, WorkerRoute::parse(pattern.as_string()));
      shape.routes.push_back(std::move(route));
    }
  }
  shape.called_only = shape.routes.empty() && !get_bool(from, "workers_dev").value_or(true);
  if (const json::array* queues = get_array(from, "queues"))
    for (const json::value& queue : *queues)
      if (queue.is_string()) shape.queues.emplace_back(queue.as_string());
  return shape;
}

Result<std::shared_ptr<HostedProcess>> HostedProcess::start(asio::any_io_executor executor,
                                                            std::string worker,
                                                            const std::vector<std::string>& argv,
                                                            const std::string& socket_path,
                                                            Callbacks callbacks) {
  auto process = std::make_shared<HostedProcess>();
  process->executor = executor;
  process->worker = std::move(worker);
  process->callbacks = std::move(callbacks);
  process->started_ms = monotonic_ms();
  node::ChildCallbacks of_child;
  of_child.on_status = [weak = std::weak_ptr(process)](const json::object& line) {
    if (auto self = weak.lock()) self->told(line);
  };
  of_child.on_exit = [weak = std::weak_ptr(process)](const std::string& how) {
    auto self = weak.lock();
    if (!self) return;
    self->client.reset();
    self->ended = true;
    if (self->callbacks.ended) self->callbacks.ended(how);
  };
  VERGE_ASSIGN(child, node::Child::spawn(executor, argv, socket_path, std::move(of_child),
                                         node::Child::Environment::Ours));
  process->child = std::move(child);
  return process;
}

void HostedProcess::run(const std::string& server) {
  child->say(json::serialize(json::object{{"do", "start"}, {"server", server}}));
}

void HostedProcess::tell(std::string_view what) {
  child->say(json::serialize(json::object{{"do", what}}));
}

void HostedProcess::told(const json::object& line) {
  const std::string state = get_string(line, "state").value_or("");
  if (state == "log") return printed(line);
  if (state == "failed") reason = get_string(line, "error").value_or("");
  if (state == "built") {
    auto read = read_shape(line);
    if (!read) {
      reason = read.error().message;
      return child->terminate();
    }
    shape = std::move(*read);
    built = true;
    if (callbacks.built) callbacks.built();
  }
  if (state == "ready") {
    port = static_cast<uint16_t>(get_int(line, "port").value_or(0));
    http::Endpoint endpoint;
    endpoint.host = "127.0.0.1";
    endpoint.port = port;
    http::ClientOptions options;
    options.read_timeout_ms = limits::kWorkerAnswerMs;
    client = std::make_shared<http::Client>(executor, endpoint, options);
    if (callbacks.ready) callbacks.ready();
  }
}

// A long message comes in pieces.
void HostedProcess::printed(const json::object& line) {
  const std::string piece = get_string(line, "message").value_or("");
  if (message.size() + piece.size() <= limits::kWorkerLogBytes) message += piece;
  if (get_bool(line, "more").value_or(false)) return;
  const std::string console = get_string(line, "level").value_or("log");
  log::write(level_of(console), message, {{"worker", worker}, {"console", console}});
  message.clear();
}

}  // namespace verge::hosting
