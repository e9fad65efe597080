// A program run to its end.
#pragma once

#include <string>
#include <vector>

#include "support/error.h"

namespace verge::node {

// `command` names the program first. Its output and what it complains of are kept up to `most` bytes
// each; more output is an error. Returns the exit code, 128 + N after signal N. Errors: Io.
Result<int> run_to_end(const std::vector<std::string>& command, size_t most, std::string* output, std::string* complaint);

}  // namespace verge::node
