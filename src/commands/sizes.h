// Bytes for people: "98.4 MB".
#pragma once

#include <cstdint>
#include <string>

namespace verge::commands {

std::string size_text(uint64_t bytes);

}  // namespace verge::commands
