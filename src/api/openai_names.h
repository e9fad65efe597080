// Names of OpenAI's own models, which tools have as defaults and cannot always be told to change.
#pragma once

#include <string_view>

namespace verge::api {

// "gpt-4o-mini" -> "text-generation"; empty where the name is not OpenAI's, or its task is not served here. Prefixes as
// "openai/gpt-4o" and dates as "gpt-4o-2024-08-06" are taken; open models ("gpt-oss-20b", "gpt-j-6b") are not such names.
std::string_view task_of_openai_name(std::string_view name);

}  // namespace verge::api
