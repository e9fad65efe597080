#include "commands/sizes.h"

#include <fmt/format.h>

namespace verge::commands {

std::string size_text(uint64_t bytes) {
  const double b = static_cast<double>(bytes);
  if (b < 1e6) return fmt::format("{:.0f} kB", b / 1e3);
  if (b < 1e9) return fmt::format("{:.1f} MB", b / 1e6);
  return fmt::format("{:.2f} GB", b / 1e9);
}

}  // namespace verge::commands
