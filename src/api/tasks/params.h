// Reads the parameters of one request; the first wrong one ends it. Null counts as absent.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "support/error.h"
#include "support/json.h"

namespace verge::api {

// Where the values come from. Forms and queries have text only: a number or a boolean is written out, and an empty
// text means that nothing was chosen.
enum class ValuesAre { Json, Text };

// Messages are worded as the schema validator's, so that a client sees one style.
class Params {
 public:
  explicit Params(const json::object& body, ValuesAre values = ValuesAre::Json) : body_(body), values_(values) {}

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

  std::optional<double> as_number(std::string_view name, std::string_view wanted, const json::value& value);

  const json::object& body_;
  ValuesAre values_;
  std::optional<Error> error_;
};

// Booleans, and texts as Python, Ruby, YAML, HTML forms and shells write them: true, True, 1, on, yes and their
// opposites, in any case. (The published service takes "true" and "false".)
std::optional<bool> as_bool(const json::value& value);
std::optional<bool> as_bool(std::string_view text);
// 'string', 'number' …, as messages name a value's type.
const char* type_name(const json::value& value);

}  // namespace verge::api
