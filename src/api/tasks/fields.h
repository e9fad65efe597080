// Fields of objects deep in a body, with the errors of the schema validator's style. `place` is the
// JSON pointer of the object, or of the value for mismatch().
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"
#include "support/json.h"

namespace verge::api {

// InvalidInput: what stands at `place` is not of the type `wanted`.
Error mismatch(std::string_view place, std::string_view wanted, const json::value& value);
// InvalidInput: the object at `place` lacks one of `names`.
Error missing(std::string_view place, std::string_view names);

// Null where it is absent or null.
const json::value* present(const json::object& object, std::string_view name);
// InvalidInput: it is absent (`required` are the names that the message gives) or no text.
Result<std::string> text_of(const json::object& object, std::string_view name,
                            std::string_view place, std::string_view required);

enum class FieldType { Text, Flag, Whole, Object };
// InvalidInput: it is there, and of another type.
Result<void> check_type(const json::object& object, std::string_view name, FieldType type,
                        std::string_view place);

}  // namespace verge::api
