// The file of `verge run --schema`, as errors name it.
#pragma once

#include <string>

#include "support/error.h"

namespace verge::commands {

// The error of a request that was made of a schema: it names a place in the file. `file` empty: none
// was given, and the error stays.
Error named_by_file(Error error, const std::string& file);

}  // namespace verge::commands
