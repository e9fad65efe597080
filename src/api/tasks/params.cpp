#include "api/tasks/params.h"

#include <charconv>
#include <cmath>

#include "support/text.h"

namespace verge::api {
namespace {

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
}

// A decimal number that is the whole text; "nan" and "inf" are none.
std::optional<double> parse_number(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

}  // namespace

std::optional<bool> as_bool(std::string_view text) {
  const std::string word = ascii_lower(trimmed(text));
  for (std::string_view yes : {"true", "1", "on", "yes", "t", "y"})
    if (word == yes) return true;
  for (std::string_view no : {"false", "0", "off", "no", "f", "n"})
    if (word == no) return false;
  return std::nullopt;
}

std::optional<bool> as_bool(const json::value& value) {
  if (value.is_bool()) return value.get_bool();
  return value.is_string() ? as_bool(std::string_view(value.get_string())) : std::nullopt;
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
  if (!value || value->is_null()) return nullptr;
  if (values_ == ValuesAre::Text && value->is_string() && trimmed(value->get_string()).empty()) return nullptr;
  return value;
}

void Params::refuse(Error error) {
  if (!error_) error_ = std::move(error);
}

void Params::mismatch(std::string_view name, std::string_view wanted, const json::value& value) {
  refuse(fail_at(Code::InvalidInput, fmt::format("/{}", name), "Type mismatch of '/{}', '{}' not in '{}'", name, wanted, type_name(value)));
}

std::optional<double> Params::as_number(std::string_view name, std::string_view wanted, const json::value& value) {
  std::optional<double> number;
  if (value.is_number()) number = value.to_number<double>();
  else if (values_ == ValuesAre::Text && value.is_string()) number = parse_number(value.get_string());
  if (!number) mismatch(name, wanted, value);
  return number;
}

std::optional<double> Params::number(std::string_view name, double least, double most) {
  const json::value* value = find(name);
  const std::optional<double> number = value ? as_number(name, "number", *value) : std::nullopt;
  if (!number) return std::nullopt;
  if (!(*number >= least)) refuse(fail_at(Code::InvalidInput, fmt::format("/{}", name), "'/{}' must be >= {}", name, least));
  else if (!(*number <= most)) refuse(fail_at(Code::InvalidInput, fmt::format("/{}", name), "'/{}' must be <= {}", name, most));
  else return number;
  return std::nullopt;
}

std::optional<int64_t> Params::integer(std::string_view name, int64_t least, int64_t most) {
  const json::value* value = find(name);
  const std::optional<double> read = value ? as_number(name, "integer", *value) : std::nullopt;
  if (!read) return std::nullopt;
  if (*read != std::floor(*read)) {
    mismatch(name, "integer", *value);
    return std::nullopt;
  }
  // Exact where JSON has an integer. Past 2^63 either way is past every limit as well.
  std::optional<int64_t> number = get_int(body_, name);
  if (!number) number = *read >= 0x1p63 ? INT64_MAX : *read < -0x1p63 ? INT64_MIN : static_cast<int64_t>(*read);
  if (*number < least) refuse(fail_at(Code::InvalidInput, fmt::format("/{}", name), "'/{}' must be >= {}", name, least));
  else if (*number > most) refuse(fail_at(Code::InvalidInput, fmt::format("/{}", name), "'/{}' must be <= {}", name, most));
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
