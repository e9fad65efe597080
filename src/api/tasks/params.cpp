#include "api/tasks/params.h"

#include <cmath>

namespace verge::api {

std::optional<bool> as_bool(const json::value& value) {
  if (value.is_bool()) return value.get_bool();
  if (value.is_string() && value.get_string() == "true") return true;
  if (value.is_string() && value.get_string() == "false") return false;
  return std::nullopt;
}

const char* type_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "boolean";
    case json::kind::string: return "string";
    case json::kind::array: return "array";
    case json::kind::object: return "object";
    default: return "number";
  }
}

const json::value* Params::find(std::string_view name) const {
  const json::value* value = body_.if_contains(name);
  return value && !value->is_null() ? value : nullptr;
}

void Params::refuse(Error error) {
  if (!error_) error_ = std::move(error);
}

void Params::mismatch(std::string_view name, std::string_view wanted, const json::value& value) {
  refuse(fail(Code::InvalidInput, "Type mismatch of '/{}', '{}' not in '{}'", name, wanted, type_name(value)));
}

std::optional<double> Params::number(std::string_view name, double least, double most) {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number()) {
    mismatch(name, "number", *value);
    return std::nullopt;
  }
  double number = value->to_number<double>();
  if (!(number >= least)) refuse(fail(Code::InvalidInput, "'/{}' must be >= {}", name, least));
  else if (!(number <= most)) refuse(fail(Code::InvalidInput, "'/{}' must be <= {}", name, most));
  else return number;
  return std::nullopt;
}

std::optional<int64_t> Params::integer(std::string_view name, int64_t least, int64_t most) {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number() || (value->is_double() && value->get_double() != std::floor(value->get_double()))) {
    mismatch(name, "integer", *value);
    return std::nullopt;
  }
  // Past 2^63 either way is past every limit as well.
  std::optional<int64_t> number = get_int(body_, name);
  if (!number) {
    bool below = value->is_double() && value->get_double() < 0;
    number = below ? INT64_MIN : INT64_MAX;
  }
  if (*number < least) refuse(fail(Code::InvalidInput, "'/{}' must be >= {}", name, least));
  else if (*number > most) refuse(fail(Code::InvalidInput, "'/{}' must be <= {}", name, most));
  else return number;
  return std::nullopt;
}

std::optional<bool> Params::flag(std::string_view name) {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  std::optional<bool> flag = as_bool(*value);
  if (!flag) mismatch(name, "boolean", *value);
  return flag;
}

std::optional<std::string> Params::text(std::string_view name) {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) {
    mismatch(name, "string", *value);
    return std::nullopt;
  }
  return std::string(value->get_string());
}

const json::object* Params::object(std::string_view name) {
  const json::value* value = find(name);
  if (!value) return nullptr;
  if (!value->is_object()) mismatch(name, "object", *value);
  return value->if_object();
}

}  // namespace verge::api
