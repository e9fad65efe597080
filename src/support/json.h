// JSON in Verge is Boost.JSON (objects keep their order, as Python's do). This header adds
// bounded parsing and typed look-ups whose errors name the field.
#pragma once

#include <boost/json.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "support/error.h"
#include "support/limits.h"

namespace verge {
namespace json = boost::json;

// Parses a whole document. Depth over `max_depth`, trailing bytes, invalid UTF-8 and bad numbers
// are InvalidInput with the byte offset.
Result<json::value> parse_json(std::string_view text, size_t max_depth = limits::kJsonDepth);

// Look-ups: nullopt where the key is absent, null or of another type.
std::optional<std::string> get_string(const json::object& object, std::string_view key);
std::optional<int64_t> get_int(const json::object& object, std::string_view key);
std::optional<double> get_number(const json::object& object, std::string_view key);
std::optional<bool> get_bool(const json::object& object, std::string_view key);
const json::object* get_object(const json::object& object, std::string_view key);
const json::array* get_array(const json::object& object, std::string_view key);

}  // namespace verge
