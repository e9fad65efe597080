// Reads the parameters of one request; the first wrong one ends it. Null counts as absent.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "support/error.h"
#include "support/json.h"

namespace verge::api {

// Messages are worded as the schema validator's, so that a client sees one style.
class Params {
 public:
  explicit Params(const json::object& body) : body_(body) {}

  const json::value* find(std::string_view name) const;  // null = absent or null
  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<int64_t> integer(std::string_view name, int64_t least, int64_t most);
  std::optional<bool> flag(std::string_view name);
  std::optional<std::string> text(std::string_view name);
  const json::object* object(std::string_view name);

  void refuse(Error error);  // keeps the first
  bool ok() const { return !error_; }
  Error error() const { return *error_; }

 private:
  void mismatch(std::string_view name, std::string_view wanted, const json::value& value);

  const json::object& body_;
  std::optional<Error> error_;
};

// The published service takes "true" and "false" for booleans.
std::optional<bool> as_bool(const json::value& value);
// 'string', 'number' …, as messages name a value's type.
const char* type_name(const json::value& value);

}  // namespace verge::api
