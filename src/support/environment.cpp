#include "support/environment.h"

#include <unistd.h>

#include <algorithm>

namespace verge {

std::vector<char*> bare_environment(std::initializer_list<std::string_view> more) {
  constexpr std::string_view kPassed[] = {"LD_LIBRARY_PATH", "TZ", "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
  std::vector<char*> out;
  for (char** variable = environ; variable && *variable; ++variable) {
    const std::string_view text(*variable), name = text.substr(0, text.find('='));
    if (std::ranges::count(kPassed, name) || std::ranges::count(more, name)) out.push_back(*variable);
  }
  out.push_back(nullptr);
  return out;
}

}  // namespace verge
