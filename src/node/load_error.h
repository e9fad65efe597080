// What clients are told of a model that cannot be loaded. Pure. The process's own words name files of this machine and quote what
// is in them: they are for the log.
#pragma once

#include <string>

#include "support/error.h"

namespace verge::node {

// `error`: of the model's process, or of its start. The code tells what may help:
//   LoadFailed with a time to retry   memory, descriptors or processes are short (support/shortage.h)
//   Busy                              the files were changed while they were read: try again
//   ModelUnavailable                  files are missing or cannot be read
//   LoadFailed                        they are damaged or of an unsupported kind
Error load_error(const Error& error, const std::string& model);

}  // namespace verge::node
