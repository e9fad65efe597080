// "hub:org/repository" or "hub:org/repository@revision": a model outside the catalogue.
#pragma once

#include <optional>
#include <string_view>

#include "catalogue/entry.h"
#include "support/error.h"

namespace verge::commands {

// nullopt: no such id. InvalidInput: it begins so and names no repository.
Result<std::optional<catalogue::Entry>> hub_entry(std::string_view id);

}  // namespace verge::commands
