// `tokens-required`, a file beside accounts.db: losing that does not open the server.
#pragma once

#include <string>

#include "support/error.h"

namespace verge::accounts {

std::string marker_of(const std::string& folder);
// On the disk when it returns. Io.
Result<void> write_marker(const std::string& folder);

}  // namespace verge::accounts
