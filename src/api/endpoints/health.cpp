#include "api/endpoints/endpoints.h"

namespace verge::api {

http::task<void> healthz(Call& call) { return respond_json(call, json::object{{"status", "ok"}}); }

namespace {

// Ids of the models whose processes do not get on.
json::array suspects_of(const json::value& status) {
  json::array out;
  const json::object* object = status.if_object();
  const json::array* models = object ? get_array(*object, "models") : nullptr;
  if (!models) return out;
  for (const json::value& one : *models) {
    const json::object* model = one.if_object();
    if (model && get_string(*model, "state") == "suspect") out.emplace_back(get_string(*model, "id").value_or(""));
  }
  return out;
}

}  // namespace

http::task<void> readyz(Call& call) {
  const Options& options = call.context.options;
  const bool ready = !options.ready || options.ready();
  json::object body{{"status", ready ? "ready" : "not ready"}};
  json::array suspects = suspects_of(options.status ? options.status() : json::value());
  if (!suspects.empty()) body["suspect"] = std::move(suspects);
  return respond_json(call, ready ? 200 : 503, body);
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
