#include <ctime>

#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"

namespace verge::api {
namespace {

// "2024-09-25 21:36:32.050" -> Unix seconds; 0 where it is no date.
int64_t unix_seconds(const std::string& date) {
  std::tm utc{};
  if (!strptime(date.c_str(), "%Y-%m-%d %H:%M:%S", &utc)) return 0;
  return timegm(&utc);
}

json::object model_json(const catalogue::Entry& entry, std::string_view id) {
  return {{"id", id}, {"object", "model"}, {"created", unix_seconds(entry.created_at)}, {"owned_by", author_of(entry.id)}};
}

// `include=unavailable`: models whose weights are not here, too.
Result<bool> wants_unavailable(const Call& call) {
  const std::string include = call.in.query_param("include").value_or("");
  if (include.empty()) return false;
  if (include != "unavailable") return fail_at(Code::InvalidInput, "/include", "'/include' must be 'unavailable'");
  return true;
}

}  // namespace

http::task<void> openai_models(Call& call) {
  auto unavailable = wants_unavailable(call);
  if (!unavailable) { return respond_error(call, unavailable.error()); }
  const Availability here(call.context);
  json::array models;
  for (const catalogue::Entry* entry : call.context.catalogue.all()) {
    const bool available = here.has(*entry);
    if (!available && !*unavailable) continue;
    json::object model = model_json(*entry, entry->id);
    if (*unavailable) model["available"] = available;
    models.push_back(std::move(model));
  }
  return respond_json(call, json::object{{"object", "list"}, {"data", std::move(models)}});
}

http::task<void> openai_model(Call& call) {
  const std::string& id = call.path.find("model")->second;
  auto unavailable = wants_unavailable(call);
  if (!unavailable) { return respond_error(call, unavailable.error()); }
  auto entry = find_model(call, id);
  if (!entry) { return respond_error(call, entry.error()); }
  const bool available = Availability(call.context).has(**entry);
  if (!available && !*unavailable)
    return respond_error(call, fail(Code::ModelUnavailable, "model {} is not on this machine: run 'verge pull {}'", id, (*entry)->id));
  json::object model = model_json(**entry, id);
  if (*unavailable) model["available"] = available;
  return respond_json(call, model);
}

}  // namespace verge::api
