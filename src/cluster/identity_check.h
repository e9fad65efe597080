// What is wrong with a machine's keys, in words that say what to do: before a connection fails for it.
#pragma once

#include <cstdint>
#include <string>

#include "cluster/identity.h"
#include "support/error.h"

namespace verge::cluster {

// That the program can read the keys, that they belong together, are valid now and are those of this role ("gateway", "node", "both";
// keys of "both" are good for each). Errors: Io (missing, unreadable), InvalidInput.
Result<void> check_identity(const Identity& identity, const std::string& role, int64_t now_ms);

// "2027-01-31 12:00 UTC"
std::string time_text(int64_t unix_s);

}  // namespace verge::cluster
