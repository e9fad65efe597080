// Validates a value against the part of JSON Schema that the published parameter schemas use.
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"
#include "support/json.h"

namespace verge::catalogue {

// InvalidInput with the text that the published service gives, without its prefix:
//   oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', '/top_k' must be <= 50
Result<void> validate(const json::object& schema, const json::value& value);

// The schema of a parameter by its name, in any of the schema's branches; null = there is none.
const json::object* find_property(const json::object& schema, std::string_view name);

// InvalidInput naming the place of the first keyword that validate() does not know: a schema that
// would be checked in part only is refused when the catalogue is loaded.
Result<void> check_schema(const json::object& schema);

}  // namespace verge::catalogue
