#pragma once

#include <string>
#include <string_view>

namespace verge {

std::string uuid_v4();               // "xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx", lower case
bool is_uuid(std::string_view text);  // any version, any case

}  // namespace verge
