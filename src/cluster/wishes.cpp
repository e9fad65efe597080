#include "cluster/wishes.h"

#include <algorithm>

#include "cluster/heartbeat.h"

namespace verge::cluster {
namespace {

constexpr const char* kBucket = "verge_models";
constexpr int kTries = 5;
constexpr int kMostNodes = 10'000;

// Keys of NATS KV may hold '=' but no '@', ids of models the other way round.
std::string key_of(std::string model) {
  std::replace(model.begin(), model.end(), '@', '=');
  return model;
}
std::string model_of(std::string key) {
  std::replace(key.begin(), key.end(), '=', '@');
  return key;
}

json::array list(const std::vector<std::string>& names) { return json::array(names.begin(), names.end()); }

Result<std::vector<std::string>> names(const json::object& object, std::string_view field) {
  std::vector<std::string> out;
  const json::value* value = object.if_contains(field);
  if (!value || value->is_null()) return out;
  const json::array* array = value->if_array();
  if (!array || array->size() > 1000) return fail(Code::InvalidInput, "'{}' must be a list of names", field);
  for (const json::value& one : *array) {
    const json::string* text = one.if_string();
    if (!text || !valid_name(std::string_view(*text))) return fail(Code::InvalidInput, "'{}' holds something that is no name of a node or region", field);
    out.emplace_back(*text);
  }
  return out;
}

Result<int> count(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  if (!value || value->is_null()) return 0;
  const int64_t* number = value->if_int64();
  if (!number || *number < 0 || *number > kMostNodes) return fail(Code::InvalidInput, "'{}' must be a number from 0 to {}", field, kMostNodes);
  return static_cast<int>(*number);
}

}  // namespace

json::object to_json(const Wish& wish) {
  return {{"model", wish.model}, {"min", wish.min}, {"max", wish.max}, {"pins", list(wish.pins)}, {"regions", list(wish.regions)}};
}

Result<Wish> wish_of(const std::string& model, const json::object& object) {
  Wish wish;
  wish.model = model;
  VERGE_ASSIGN(min, count(object, "min"));
  VERGE_ASSIGN(max, count(object, "max"));
  VERGE_ASSIGN(pins, names(object, "pins"));
  VERGE_ASSIGN(regions, names(object, "regions"));
  wish.min = min;
  wish.max = max;
  wish.pins = std::move(pins);
  wish.regions = std::move(regions);
  if (max > 0 && min > max) return fail(Code::InvalidInput, "'min' is {} and 'max' {}: the least cannot be more than the most", min, max);
  return wish;
}

task<Result<std::vector<Wish>>> read_wishes(Bus& bus) {
  auto values = co_await bus.list(kBucket);
  if (!values) co_return values.error();
  std::vector<Wish> out;
  for (const auto& [key, value] : *values) {
    auto parsed = parse_json(value.data);
    const json::object* object = parsed ? parsed->if_object() : nullptr;
    if (!object) continue;
    auto wish = wish_of(model_of(key), *object);
    if (wish && !wish->empty()) out.push_back(std::move(*wish));
  }
  co_return out;
}

task<Result<void>> write_wish(Bus& bus, Wish wish) {
  const std::string key = key_of(wish.model), data = json::serialize(to_json(wish));
  for (int i = 0; i < kTries; ++i) {
    auto now = co_await bus.get(kBucket, key);
    if (!now) co_return now.error();
    const uint64_t revision = *now ? (*now)->revision : 0;
    auto written = co_await bus.put_if(kBucket, key, data, revision);
    if (!written) co_return written.error();
    if (*written) co_return Result<void>();
  }
  co_return fail(Code::Busy, "others are changing the placement of {}: try again", wish.model);
}

}  // namespace verge::cluster
