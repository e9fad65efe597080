#include "server/trace_export.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdlib>
#include <deque>

#include "http/client.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/spawn.h"
#include "support/version.h"

namespace verge::server {
namespace {

namespace asio = boost::asio;

json::object attribute(const std::string& key, const std::variant<std::string, int64_t>& value) {
  json::object typed;
  if (const auto* text = std::get_if<std::string>(&value)) typed["stringValue"] = *text;
  else typed["intValue"] = std::to_string(std::get<int64_t>(value));  // 64 bit numbers are text in OTLP's JSON
  return {{"key", key}, {"value", std::move(typed)}};
}

json::object span(const trace::Record& record) {
  json::array attributes;
  for (const auto& [key, value] : record.attributes) attributes.push_back(attribute(key, value));
  json::object out{{"traceId", record.trace_id},
                   {"spanId", record.span_id},
                   {"name", record.name},
                   {"kind", static_cast<int>(record.kind)},
                   {"startTimeUnixNano", std::to_string(record.start_us * 1000)},
                   {"endTimeUnixNano", std::to_string(record.end_us * 1000)},
                   {"attributes", std::move(attributes)}};
  if (!record.parent_id.empty()) out["parentSpanId"] = record.parent_id;
  if (!record.error.empty()) out["status"] = json::object{{"code", 2}, {"message", record.error}};
  return out;
}

class Exporter : public TraceExport {
 public:
  Exporter(asio::any_io_executor executor, http::Endpoint endpoint, std::string path, std::string service, std::string node)
      : state_(std::make_shared<State>(executor, std::move(endpoint), std::move(path), std::move(service), std::move(node))) {
    trace::set_sink([state = state_](trace::Record record) {
      if (state->waiting.size() >= limits::kSpansWaiting) state->waiting.pop_front();
      state->waiting.push_back(std::move(record));
    });
    spawn(executor, "exporting traces", state_->cancel.slot(), [state = state_] { return send(state); },
          [state = state_](std::exception_ptr) { state->running = false; });
  }
  ~Exporter() override {
    trace::set_sink({});
    state_->stopped = true;
    if (state_->running) state_->cancel.emit(asio::cancellation_type::terminal);
  }

 private:
  struct State {
    State(asio::any_io_executor e, http::Endpoint endpoint, std::string p, std::string s, std::string n)
        : executor(e), client(e, std::move(endpoint), client_options()), path(std::move(p)), service(std::move(s)), node(std::move(n)) {}
    static http::ClientOptions client_options() {
      http::ClientOptions options;
      options.connect_timeout_ms = 2'000;
      options.read_timeout_ms = 5'000;
      return options;
    }
    asio::any_io_executor executor;
    http::Client client;
    std::string path, service, node;
    asio::cancellation_signal cancel;
    std::deque<trace::Record> waiting;
    bool stopped = false, complained = false, running = true;
  };

  static http::task<void> send(std::shared_ptr<State> state) {
    asio::steady_timer timer(state->executor);
    while (!state->stopped) {
      timer.expires_after(std::chrono::milliseconds(limits::kSpanExportMs));
      boost::system::error_code ignored;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      if (state->waiting.empty() || state->stopped) continue;
      const size_t count = std::min(state->waiting.size(), limits::kSpansOfExport);
      std::vector<trace::Record> batch(std::make_move_iterator(state->waiting.begin()), std::make_move_iterator(state->waiting.begin() + static_cast<ptrdiff_t>(count)));
      state->waiting.erase(state->waiting.begin(), state->waiting.begin() + static_cast<ptrdiff_t>(count));
      http::ClientRequest post;
      post.method = "POST";
      post.target = state->path;
      post.headers.push_back({"Content-Type", "application/json"});
      post.body = json::serialize(otlp_body(batch, state->service, state->node));
      auto answer = co_await state->client.send(std::move(post));
      std::string why;
      if (!answer) {
        why = answer.error().message;
      } else {
        auto body = co_await (*answer)->read_all(1 << 20);
        if ((*answer)->status >= 300) why = fmt::format("HTTP status {}", (*answer)->status);
      }
      if (!why.empty() && !std::exchange(state->complained, true)) log::warn("traces cannot be exported; spans are dropped", {{"why", why}});
      if (why.empty()) state->complained = false;
    }
  }

  std::shared_ptr<State> state_;
};

}  // namespace

json::object otlp_body(const std::vector<trace::Record>& records, const std::string& service, const std::string& node) {
  json::array spans;
  for (const trace::Record& record : records) spans.push_back(span(record));
  json::array resource{attribute("service.name", service), attribute("service.version", std::string(version())), attribute("service.instance.id", node)};
  json::object scope{{"scope", json::object{{"name", "verge"}}}, {"spans", std::move(spans)}};
  return {{"resourceSpans", json::array{json::object{{"resource", json::object{{"attributes", std::move(resource)}}}, {"scopeSpans", json::array{std::move(scope)}}}}}};
}

Result<std::unique_ptr<TraceExport>> TraceExport::from_environment(asio::any_io_executor executor, const std::string& node) {
  const auto text = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  std::string url = text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  if (url.empty() && !text("OTEL_EXPORTER_OTLP_ENDPOINT").empty()) {
    url = text("OTEL_EXPORTER_OTLP_ENDPOINT");
    url += url.ends_with('/') ? "v1/traces" : "/v1/traces";
  }
  if (url.empty()) return std::unique_ptr<TraceExport>();
  const size_t scheme = url.find("://");
  const size_t slash = url.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  auto endpoint = http::parse_endpoint(url.substr(0, slash));
  if (!endpoint) return fail(Code::InvalidInput, "OTEL_EXPORTER_OTLP_ENDPOINT: {}", endpoint.error().message);
  const std::string service = text("OTEL_SERVICE_NAME");
  return std::unique_ptr<TraceExport>(
      std::make_unique<Exporter>(std::move(executor), std::move(*endpoint), slash == std::string::npos ? "/" : url.substr(slash), service.empty() ? "verge" : service, node));
}

}  // namespace verge::server
