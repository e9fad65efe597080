// Tells whether two machines hold the same weights, without reading all of them: names and sizes of a model's files and
// samples of their bytes, spread over each file.
#pragma once

#include <string>

#include "support/error.h"

namespace verge::node {

// SHA-256 in hex, of at most about 4 MiB a file. `path`: a file or a folder. Errors: Io.
Result<std::string> fingerprint_of(const std::string& path);

}  // namespace verge::node
