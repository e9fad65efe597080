#include "api/tasks/parameter_types.h"

#include <span>

#include "api/tasks/fields.h"

namespace verge::api {
namespace {

using Type = FieldType;

struct Typed {
  std::string_view name;
  Type type;
};

// All of them are repeated in the answer. Other routes take the texts that the published service
// takes for booleans.
constexpr Typed kResponses[] = {
    {"user", Type::Text},
    {"safety_identifier", Type::Text},
    {"prompt_cache_key", Type::Text},
    {"prompt_cache_retention", Type::Text},
    {"service_tier", Type::Text},
    {"truncation", Type::Text},
    {"metadata", Type::Object},
    {"max_tool_calls", Type::Whole},
    {"parallel_tool_calls", Type::Flag},
    {"store", Type::Flag},
    {"background", Type::Flag},
};

constexpr Typed kMessages[] = {
    {"metadata", Type::Object},     {"cache_control", Type::Object}, {"service_tier", Type::Text},
    {"inference_geo", Type::Text}, {"speed", Type::Text},
};

Result<void> check(std::span<const Typed> list, const json::object& body) {
  for (const Typed& typed : list) VERGE_TRY(check_type(body, typed.name, typed.type, ""));
  return {};
}

}  // namespace

Result<void> check_types(Surface surface, const json::object& body) {
  if (surface == Surface::Responses) return check(kResponses, body);
  if (surface == Surface::Messages) return check(kMessages, body);
  return {};
}

}  // namespace verge::api
