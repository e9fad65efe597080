#include "cluster/heartbeat.h"

#include <algorithm>

#include "support/json.h"
#include "support/limits.h"

namespace verge::cluster {
namespace {

int64_t bounded(const json::object& object, std::string_view key, int64_t fallback, int64_t low, int64_t high) {
  return std::clamp(get_int(object, key).value_or(fallback), low, high);
}

}  // namespace

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

json::object to_json(const Heartbeat& heartbeat) {
  json::array models;
  for (const protocol::ModelReport& model : heartbeat.models) models.push_back(protocol::to_json(model));
  json::object out{{"v", kVersion},
                   {"name", heartbeat.name},
                   {"region", heartbeat.region},
                   {"address", heartbeat.address},
                   {"software", heartbeat.software},
                   {"boot", heartbeat.boot},
                   {"sequence", heartbeat.sequence},
                   {"memory_free_bytes", heartbeat.memory_free_bytes},
                   {"models", std::move(models)}};
  if (!std::isnan(heartbeat.latitude)) out["coordinates"] = json::array{heartbeat.latitude, heartbeat.longitude};
  if (heartbeat.draining) out["draining"] = true;
  if (heartbeat.leaving) out["leaving"] = true;
  return out;
}

std::string encode_heartbeat(const Heartbeat& heartbeat) { return json::serialize(to_json(heartbeat)); }

Result<Heartbeat> decode_heartbeat(std::string_view text) {
  if (text.size() > limits::kHeartbeatBytes) return fail(Code::InvalidInput, "a heartbeat of {} bytes; the limit is {}", text.size(), limits::kHeartbeatBytes);
  VERGE_ASSIGN(value, parse_json(text, 8));
  const json::object* object = value.if_object();
  if (!object) return fail(Code::InvalidInput, "no object");
  Heartbeat heartbeat;
  heartbeat.name = get_string(*object, "name").value_or("");
  if (!valid_name(heartbeat.name)) return fail(Code::InvalidInput, "no proper node name");
  const int64_t version = get_int(*object, "v").value_or(0);
  if (version > kVersion)
    return fail(Code::UnsupportedParameter, "node {} speaks version {} of the cluster's protocol, this program version {}: upgrade it", heartbeat.name, version, kVersion);
  if (version < 1) return fail(Code::InvalidInput, "no version");
  heartbeat.region = get_string(*object, "region").value_or("");
  if (!valid_name(heartbeat.region)) return fail(Code::InvalidInput, "node {} has no proper region", heartbeat.name);
  if (const json::array* pair = get_array(*object, "coordinates"); pair && pair->size() == 2 && (*pair)[0].is_number() && (*pair)[1].is_number()) {
    const double latitude = (*pair)[0].to_number<double>(), longitude = (*pair)[1].to_number<double>();
    if (std::abs(latitude) <= 90 && std::abs(longitude) <= 180) {
      heartbeat.latitude = latitude;
      heartbeat.longitude = longitude;
    }
  }
  heartbeat.address = get_string(*object, "address").value_or("");
  if (heartbeat.address.empty() || heartbeat.address.size() > 300) return fail(Code::InvalidInput, "node {} has no proper address", heartbeat.name);
  heartbeat.software = get_string(*object, "software").value_or("").substr(0, 64);
  heartbeat.boot = static_cast<uint64_t>(bounded(*object, "boot", 0, 0, INT64_MAX));
  heartbeat.sequence = static_cast<uint64_t>(bounded(*object, "sequence", 0, 0, INT64_MAX));
  heartbeat.draining = get_bool(*object, "draining").value_or(false);
  heartbeat.leaving = get_bool(*object, "leaving").value_or(false);
  heartbeat.memory_free_bytes = bounded(*object, "memory_free_bytes", 0, 0, INT64_MAX);
  const json::array* models = get_array(*object, "models");
  if (models && models->size() > limits::kNodeModels) return fail(Code::InvalidInput, "node {} lists {} models; the limit is {}", heartbeat.name, models->size(), limits::kNodeModels);
  if (models) {
    for (const json::value& one : *models) {
      VERGE_ASSIGN(model, protocol::read_report(one));
      heartbeat.models.push_back(std::move(model));
    }
  }
  return heartbeat;
}

std::string heartbeat_subject(const Heartbeat& heartbeat) { return fmt::format("verge.node.{}.{}.hb", heartbeat.region, heartbeat.name); }

}  // namespace verge::cluster
