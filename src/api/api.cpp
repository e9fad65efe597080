// The way of a request: id, Miniflare's wrapping undone, route, CORS, admission, body, endpoint; then
// the log line and the metrics, whatever way it ended.
#include "api/api.h"

#include <boost/system/system_error.hpp>

#include "accounts/accounts.h"
#include "api/admission.h"
#include "api/call.h"
#include "api/deadline.h"
#include "api/routes.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/uuid.h"

namespace verge::api {
namespace {

// Miniflare's proxy client posts everything to "/" and keeps the real request in headers:
// MF-URL: https://workers-binding.ai/run?version=3, MF-Header-<name>: <value>.
constexpr std::string_view kBindingOrigin = "https://workers-binding.ai/";

// An older wrangler posts to …/ai/run/proxy, with the real URL in X-Forwarded and the real headers as they are.
bool is_forwarded(const http::RequestHead& head) {
  if (!head.header("x-forwarded").starts_with(kBindingOrigin)) return false;
  const std::string path = plain_path(head.path);
  return path.starts_with("/client/v4/accounts/") && path.ends_with("/ai/run/proxy");
}
bool is_wrapped(const http::RequestHead& head) { return (plain_path(head.path) == "/" && head.header("mf-url").starts_with(kBindingOrigin)) || is_forwarded(head); }

// The path and query inside; nullopt where the path is badly encoded.
std::optional<std::string> wrapped_path(const http::RequestHead& head, std::string* query) {
  std::string_view target = head.header(is_forwarded(head) ? "x-forwarded" : "mf-url").substr(kBindingOrigin.size() - 1);
  size_t mark = target.find('?');
  if (query) *query = mark == target.npos ? "" : std::string(target.substr(mark + 1));
  return http::percent_decode(target.substr(0, mark));
}

// `image_result` of the outer query, which Verge's own proxy adds: "results" or "array" instead of the server's option.
void read_image_result(const http::Incoming& in, Call& call) {
  const auto wanted = in.query_param("image_result");
  if (wanted && (*wanted == "results" || *wanted == "array")) call.image_results = *wanted == "results";
}

void unwrap(http::Incoming& in) {
  std::string query;
  auto path = wrapped_path(in, &query);
  if (!path) return;
  if (is_forwarded(in)) {
    in.path = std::move(*path);
    in.query = std::move(query);
    return;
  }
  http::Headers headers;
  for (http::Header& header : in.headers) {
    constexpr std::string_view kPrefix = "mf-header-";
    if (header.name.size() > kPrefix.size() && http::equal_names(std::string_view(header.name).substr(0, kPrefix.size()), kPrefix))
      headers.push_back({header.name.substr(kPrefix.size()), std::move(header.value)});
    else if (http::equal_names(header.name, "authorization")) headers.push_back(std::move(header));
  }
  in.path = std::move(*path);
  in.query = std::move(query);
  in.headers = std::move(headers);
}

// Pages may read every answer: admission decides who gets a good one. Of what is for this machine alone not
// even a refusal, see dispatch().
void add_cors(http::Headers& headers) {
  headers.push_back({"access-control-allow-origin", "*"});
  headers.push_back({"access-control-expose-headers", "cf-ai-req-id, cf-ai-neurons, verge-node, verge-model, verge-substituted, verge-ignored, retry-after"});
}

http::task<void> answer_preflight(Call& call) {
  http::Headers headers;
  std::string_view wanted = call.in.header("access-control-request-headers");
  headers.push_back({"access-control-allow-methods", "GET, POST, DELETE, OPTIONS"});
  headers.push_back(
      {"access-control-allow-headers", wanted.empty() || wanted.size() > 1024 ? "authorization, content-type" : std::string(wanted)});
  headers.push_back({"access-control-max-age", "86400"});
  if (!call.in.header("access-control-request-private-network").empty())
    headers.push_back({"access-control-allow-private-network", "true"});
  return respond(call, 204, std::move(headers), "");
}

// Writes the log line and counts when the request is over, however it is over.
class Record {
 public:
  Record(Call& call, std::string_view route) : call_(call), route_(route) { call_.context.counters.in_flight.add(1); }
  void set_route(std::string_view route) { route_ = route; }
  ~Record() {
    Counters& counters = call_.context.counters;
    counters.in_flight.add(-1);
    double seconds = static_cast<double>(monotonic_us() - call_.started_us) / 1e6;
    counters.requests.add(1, {std::string(route_), method(), call_.status ? std::to_string(call_.status) : "client_gone"});
    counters.duration.observe(seconds, {std::string(route_)});
    if (call_.error_code) counters.errors.add(1, {std::to_string(call_.error_code)});
    call_.span.set("http.route", std::string(route_));
    call_.span.set("http.response.status_code", int64_t{call_.status});
    call_.span.set("verge.request_id", call_.id);
    if (!call_.model.empty()) call_.span.set("gen_ai.request.model", call_.model);
    if (call_.completion_tokens) call_.span.set("gen_ai.usage.output_tokens", call_.completion_tokens);
    if (call_.status == 0 || call_.status >= 500) call_.span.fail(call_.status ? fmt::format("{} {}", call_.status, call_.error_code) : "the client left");
    bool quiet = route_ == "/healthz" || route_ == "/readyz" || route_ == "/metrics";
    const log::Level level = quiet ? log::Level::Debug : log::Level::Info;
    if (!log::writes(level)) return;
    double first = call_.first_token_us ? static_cast<double>(call_.first_token_us - call_.started_us) / 1e3 : 0;
    log::write(level, "request",
               {{"id", call_.id},
                {"method", call_.in.method},
                {"route", route_},
                {"status", call_.status},
                {"code", call_.error_code},
                {"ms", seconds * 1e3},
                {"first_token_ms", first},
                {"model", call_.asked.empty() ? call_.model : call_.asked},
                {"answered_by", call_.answered_by},
                {"tenant", call_.tenant},
                {"worker", call_.vouched ? call_.vouched->worker : std::string()},
                {"prompt_tokens", call_.prompt_tokens},
                {"completion_tokens", call_.completion_tokens},
                {"remote", call_.in.remote}});
  }

 private:
  // Methods are the client's to invent: only known ones become labels.
  std::string method() const {
    for (const char* known : {"GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH"})
      if (call_.in.method == known) return known;
    return "other";
  }
  Call& call_;
  std::string_view route_;
};

// Parameters of the query that the route does not know: a typing error in one must show.
void note_unknown_query(Call& call, const Route& route) {
  if (route.query == kEndpointReadsQuery) return;
  std::vector<std::string> unknown;
  for (std::string& name : query_names(call.in.query)) {
    const auto known = [&](std::string_view one) { return one == name; };
    bool found = false;
    for (std::string_view rest = route.query; !rest.empty() && !found;) {
      const size_t end = std::min(rest.find(' '), rest.size());
      found = known(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!found) unknown.push_back(std::move(name));
  }
  note_ignored(call, std::move(unknown));
}

// No coroutine: GCC 12 destroys temporaries of co_await expressions twice, so in api only functions
// that must outlive a wait are coroutines.
http::task<void> dispatch(Call& call, Record& record) {
  const http::Incoming& in = call.in;
  call.shape = shape_of_path(in.path);
  if (in.method == "OPTIONS") {
    record.set_route("preflight");
    return answer_preflight(call);
  }
  Match match = match_route(in.method, in.path);
  if (!match.route && match.allowed.empty()) return respond_error(call, no_such_route(in.path));
  if (!match.route) {
    call.headers.push_back({"allow", match.allowed});
    return respond_error(call, fail(Code::MethodNotAllowed, "Method not allowed: this takes {}", match.allowed));
  }
  record.set_route(match.route->pattern);
  call.shape = match.route->shape;
  call.path = std::move(match.path);
  if (auto admitted = admit(call, *match.route); !admitted) {
    if (match.route->access == Access::Metrics)
      std::erase_if(call.headers, [](const http::Header& header) { return header.name.starts_with("access-control-"); });
    return respond_error(call, admitted.error());
  }
  if (auto read = read_deadline(call); !read) return respond_error(call, read.error());
  if (in.body_too_large) {
    Error error{Code::TooLarge, "Request is too large"};
    error.limit = static_cast<int64_t>(in.body_limit);
    return respond_error(call, error);
  }
  if (!in.coding_error.empty()) {
    if (in.coding_unknown) return respond_error(call, fail_at(Code::UnsupportedParameter, "/content-encoding", "'/content-encoding': {}", in.coding_error));
    return respond_error(call, Error{Code::InvalidInput, in.coding_error});
  }
  note_unknown_query(call, *match.route);
  return match.route->run(call);
}

Options with_metrics(Options options, metrics::Registry* own) {
  if (!options.metrics) options.metrics = own;
  return options;
}

}  // namespace

Api::Api(protocol::Service& service, const catalogue::Catalogue& catalogue, accounts::Accounts* accounts, Options options) {
  auto own = options.metrics ? nullptr : std::make_unique<metrics::Registry>();
  Options complete = with_metrics(std::move(options), own.get());
  Counters counters(*complete.metrics);
  context_ = std::unique_ptr<Context>(new Context{service, catalogue, accounts, std::move(complete), std::move(own), std::move(counters)});
}
Api::~Api() = default;

http::task<void> Api::handle(http::Incoming& in, http::Responder& out) { return answer(in, out, nullptr); }

http::task<void> Api::handle_vouched(http::Incoming& in, http::Responder& out, const Vouched& by) { return answer(in, out, &by); }

http::task<void> Api::answer(http::Incoming& in, http::Responder& out, const Vouched* by) {
  Call call(*context_, in, out);
  call.vouched = by;
  call.id = uuid_v4();
  call.started_us = monotonic_us();
  call.headers.push_back({"cf-ai-req-id", call.id});
  call.headers.push_back({"verge-node", context_->options.node});
  add_cors(call.headers);
  call.image_results = context_->options.image_results;
  const bool expected = expects_host(in);  // of the outer request, if one is wrapped
  if (expected && is_wrapped(in)) {
    read_image_result(in, call);
    unwrap(in);
  }
  in.path = plain_path(in.path);
  if (in.method == "POST") call.span = trace::Span(in.method, trace::Kind::Server, in.header("traceparent"));
  Record record(call, "other");
  if (!expected) {
    record.set_route("foreign host");
    call.shape = shape_of_path(in.path);
    http::task<void> refusal = respond_error(call, foreign_host(in));
    co_await std::move(refusal);
    co_return;
  }
  http::task<void> answer = dispatch(call, record);
  co_await std::move(answer);
}

size_t Api::body_limit(const http::RequestHead& head) const {
  if (!expects_host(head)) return 64 << 10;
  std::string path = is_wrapped(head) ? wrapped_path(head, nullptr).value_or("") : head.path;
  Match match = match_route(head.method, path);
  // Nobody who brings no token, where one is needed, fills the server with a body first.
  const bool short_body = !head.header("content-length").empty() && head.header("content-length").size() <= 4;
  if (match.route && !short_body && !is_wrapped(head) && !may_send_body(*context_, head, *match.route)) return 64 << 10;
  // Text on paths that nobody takes is read, so that the connection can go on after the refusal.
  return match.route ? std::max<size_t>(match.route->body_bytes, 64 << 10) : 64 << 10;
}

bool Api::expects_host(const http::RequestHead& head) const {
  if (own_host(head, context_->options)) return true;
  if (!context_->accounts) return false;
  const auto tokens = context_->accounts->tokens_required();
  return tokens && *tokens;
}

std::string Api::body_coding(const http::RequestHead& head) const {
  std::string list = http::header_list(head.headers, "content-encoding");
  if (!is_wrapped(head) || is_forwarded(head)) return list;
  // The wrapped request's own, and around it what the proxy's client may have added.
  std::string inner = http::header_list(head.headers, "mf-header-content-encoding");
  return inner.empty() || list.empty() ? inner + list : inner + "," + list;
}

bool Api::takes(const http::RequestHead& head) const {
  if (is_wrapped(head)) return true;
  const Match match = match_route(head.method, head.path);
  return (match.route != nullptr || !match.allowed.empty()) && !match.yields;
}

std::vector<std::string> Api::example_paths() {
  std::vector<std::string> paths;
  for (const Route& route : routes()) {
    if (route.yields) continue;
    std::string path;
    bool inside = false;
    for (char c : route.pattern) {
      if (c == '{') path += 'x';
      inside = c == '{' || (inside && c != '}');
      if (!inside && c != '}') path += c;
    }
    paths.push_back(std::move(path));
  }
  return paths;
}

std::string Api::error_body(int status, std::string_view message) { return server_error_body(status, message); }

}  // namespace verge::api
