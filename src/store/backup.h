// A copy of a SQLite database that other processes may be writing meanwhile.
#pragma once

#include <string>

#include "support/error.h"

namespace verge::store {

// The file begins as SQLite's do.
bool is_database(const std::string& path);

// `to` is new: all that was committed in `from` at one moment, checked, on the disk, without a log
// beside it. Busy: it changed too fast; LoadFailed: it is damaged; Io.
Result<void> copy_database(const std::string& from, const std::string& to);

}  // namespace verge::store
