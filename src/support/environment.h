// The environment of processes that need none of ours: tokens and keys are in it.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

namespace verge {

// What a program needs to run at all (its libraries, the time zone, a sanitizer's options) and the variables in `more`; ends with
// a null pointer, for posix_spawn. Good until the environment changes.
std::vector<char*> bare_environment(std::initializer_list<std::string_view> more = {});

}  // namespace verge
