// Members of a zip archive that are stored as they are, as torch.save writes them: name -> bytes in place.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "support/error.h"

namespace verge::engine {

bool is_zip(std::span<const std::byte> bytes);

// Compressed members are refused. Zip64 is read. Errors: LoadFailed naming `path`.
Result<std::map<std::string, std::span<const std::byte>, std::less<>>> parse_stored_zip(std::span<const std::byte> bytes, const std::string& path);

}  // namespace verge::engine
