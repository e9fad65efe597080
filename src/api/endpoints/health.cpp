#include "api/admission.h"
#include "api/endpoints/endpoints.h"
#include "api/routes.h"

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

// Hosted Workers as status has them; why one does not run only for those who may see the status.
json::array workers_of(const json::value& status, bool reasons) {
  json::array out;
  const json::object* object = status.if_object();
  const json::array* workers = object ? get_array(*object, "workers") : nullptr;
  if (!workers) return out;
  for (const json::value& one : *workers) {
    json::object row;
    for (const auto& [key, value] : one.get_object())
      if (key == "name" || key == "state" || (reasons && (key == "error" || key == "reload_error"))) row[key] = value;
    out.push_back(std::move(row));
  }
  return out;
}

bool may_see_status(Call& call) {
  constexpr Route kStatus{"GET", "/verge/v1/status", status, Shape::Rest, Access::Metrics, 0};
  return admit(call, kStatus).ok();
}

}  // namespace

http::task<void> readyz(Call& call) {
  const Options& options = call.context.options;
  const bool ready = !options.ready || options.ready();
  json::object body{{"status", ready ? "ready" : "not ready"}};
  const json::value state = options.status ? options.status() : json::value();
  json::array suspects = suspects_of(state);
  if (!suspects.empty()) body["suspect"] = std::move(suspects);
  // Workers that do not run leave the rest of the server ready.
  if (call.in.query_param("verbose")) {
    json::array workers = workers_of(state, may_see_status(call));
    if (!workers.empty()) body["workers"] = std::move(workers);
    const json::object* object = state.if_object();
    if (const json::object* reload = object ? get_object(*object, "reload") : nullptr; reload && may_see_status(call)) body["reload"] = *reload;
  }
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
