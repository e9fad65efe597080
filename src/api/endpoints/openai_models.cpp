#include <ctime>

#include "api/endpoints/endpoints.h"

namespace verge::api {
namespace {

// "2024-09-25 21:36:32.050" -> Unix seconds; 0 where it is no date.
int64_t unix_seconds(const std::string& date) {
  std::tm utc{};
  if (!strptime(date.c_str(), "%Y-%m-%d %H:%M:%S", &utc)) return 0;
  return timegm(&utc);
}

json::object model_json(const catalogue::Entry& entry) {
  return {{"id", entry.id}, {"object", "model"}, {"created", unix_seconds(entry.created_at)}, {"owned_by", author_of(entry.id)}};
}

}  // namespace

http::task<void> openai_models(Call& call) {
  json::array models;
  for (const catalogue::Entry* entry : call.context.catalogue.all()) models.push_back(model_json(*entry));
  return respond_json(call, json::object{{"object", "list"}, {"data", std::move(models)}});
}

http::task<void> openai_model(Call& call) {
  const std::string& id = call.path.find("model")->second;
  const catalogue::Entry* entry = catalogue::valid_id(id) ? call.context.catalogue.find(id) : nullptr;
  if (entry) return respond_json(call, model_json(*entry));
  return respond_error(call, no_such_model(id));
}

}  // namespace verge::api
