#include "support/json.h"

#include <cmath>

namespace verge {

Result<json::value> parse_json(std::string_view text, size_t max_depth) {
  json::parse_options options;
  options.max_depth = max_depth;
  json::stream_parser parser({}, options);
  boost::system::error_code ec;
  size_t used = parser.write_some(text.data(), text.size(), ec);
  if (!ec) {
    while (used < text.size() && (text[used] == ' ' || text[used] == '\n' || text[used] == '\r' || text[used] == '\t')) ++used;
    if (used < text.size()) return fail(Code::InvalidInput, "invalid JSON: extra data at byte {}", used);
    parser.finish(ec);
  }
  if (ec == json::error::too_deep) return fail(Code::InvalidInput, "invalid JSON: nested deeper than {} levels", max_depth);
  if (ec) return fail(Code::InvalidInput, "invalid JSON: {} at byte {}", ec.message(), used);
  return parser.release();
}

std::optional<std::string> get_string(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v || !v->is_string()) return std::nullopt;
  return std::string(v->get_string());
}

std::optional<int64_t> get_int(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v) return std::nullopt;
  if (v->is_int64()) return v->get_int64();
  if (v->is_uint64()) return v->get_uint64() <= INT64_MAX ? std::optional<int64_t>(static_cast<int64_t>(v->get_uint64())) : std::nullopt;
  if (v->is_double()) {
    double d = v->get_double();
    if (std::floor(d) == d && std::fabs(d) < 9e15) return static_cast<int64_t>(d);
  }
  return std::nullopt;
}

std::optional<double> get_number(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v || !v->is_number()) return std::nullopt;
  return v->to_number<double>();
}

std::optional<bool> get_bool(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v || !v->is_bool()) return std::nullopt;
  return v->get_bool();
}

const json::object* get_object(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  return v ? v->if_object() : nullptr;
}

const json::array* get_array(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  return v ? v->if_array() : nullptr;
}

}  // namespace verge
