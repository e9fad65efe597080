#include "api/endpoints/endpoints.h"

namespace verge::api {

http::task<void> healthz(Call& call) { return respond_json(call, json::object{{"status", "ok"}}); }

http::task<void> readyz(Call& call) {
  bool ready = !call.context.options.ready || call.context.options.ready();
  return respond_json(call, ready ? 200 : 503, json::serialize(json::object{{"status", ready ? "ready" : "not ready"}}));
}

http::task<void> metrics_text(Call& call) {
  metrics::Registry* registry = call.context.options.metrics;
  return respond(call, 200, {{"content-type", metrics::Registry::kContentType}}, registry->text());
}

http::task<void> status(Call& call) {
  return respond_json(call, call.context.options.status ? call.context.options.status() : json::value(json::object()));
}

http::task<void> nodes(Call& call) {
  return respond_json(call, call.context.options.nodes ? call.context.options.nodes() : json::value(json::array()));
}

}  // namespace verge::api
