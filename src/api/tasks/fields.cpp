#include "api/tasks/fields.h"

#include "api/tasks/params.h"

namespace verge::api {

Error mismatch(std::string_view place, std::string_view wanted, const json::value& value) {
  return fail_at(Code::InvalidInput, std::string(place), "Type mismatch of '{}', '{}' not in '{}'", place, wanted,
              type_name(value));
}
Error missing(std::string_view place, std::string_view names) {
  return fail_at(Code::InvalidInput, std::string(place), "required properties at '{}' are '{}'", place, names);
}

const json::value* present(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value && !value->is_null() ? value : nullptr;
}

Result<std::string> text_of(const json::object& object, std::string_view name,
                            std::string_view place, std::string_view required) {
  const json::value* value = present(object, name);
  if (!value) return missing(place, required);
  if (!value->is_string()) return mismatch(fmt::format("{}/{}", place, name), "string", *value);
  return std::string(value->get_string());
}

Result<void> check_type(const json::object& object, std::string_view name, FieldType type,
                        std::string_view place) {
  const json::value* value = present(object, name);
  if (!value) return {};
  const auto is = [&](bool right, std::string_view wanted) -> Result<void> {
    if (right) return {};
    return mismatch(fmt::format("{}/{}", place, name), wanted, *value);
  };
  switch (type) {
    case FieldType::Text: return is(value->is_string(), "string");
    case FieldType::Flag: return is(value->is_bool(), "boolean");
    case FieldType::Whole: return is(value->is_int64() || value->is_uint64(), "integer");
    case FieldType::Object: return is(value->is_object(), "object");
  }
  return {};
}

}  // namespace verge::api
