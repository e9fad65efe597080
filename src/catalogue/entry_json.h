// The JSON form of an Entry; docs/catalogue.md describes it.
#pragma once

#include <functional>

#include "catalogue/entry.h"
#include "support/error.h"

namespace verge::catalogue {

// Finds a shared schema by its name ("text-generation-qwen3"); null = there is none.
using SchemaLookup = std::function<const json::object*(std::string_view name)>;

// InvalidInput names the field. Unknown fields are an error: a misspelt one would be lost silently.
Result<Entry> parse_entry(const json::value& value, const SchemaLookup& schemas);

Result<std::vector<Price>> parse_prices(const json::array& prices);

}  // namespace verge::catalogue
