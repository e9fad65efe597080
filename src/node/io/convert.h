// A package's files to a model folder, when it is pulled. A process of its own looks into them, without
// network and without a way to write anything but its answer: this program with the command `convert`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/error.h"

namespace verge::node {

// Converts what lies in `folder` and writes the files of the model beside it. Returns their names.
// Errors: Io, InvalidInput with what the converter says.
Result<std::vector<std::string>> convert_model(const std::string& family, const std::string& folder);

// What stands before a file's bytes in the converter's answer.
std::string converted_head(std::string_view name, uint64_t bytes);

}  // namespace verge::node
