// The small files of a folder in the hub's layout, bounded.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

// nullopt where there is no such file.
Result<std::optional<std::string>> read_text(const std::filesystem::path& path, uint64_t limit);

Result<json::object> parse_object(const std::string& text, const std::filesystem::path& path);

// An empty object where the file is missing and not `required`.
Result<json::object> read_object(const std::filesystem::path& path, uint64_t limit, bool required);

}  // namespace verge::engine
