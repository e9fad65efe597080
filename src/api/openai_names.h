// Names of OpenAI's own models, which tools have as defaults and cannot always be told to change.
#pragma once

#include <string_view>

namespace verge::api {

// "gpt-4o-mini" -> "text-generation"; empty where the name is not OpenAI's, or its task is not served here. Prefixes as
// "openai/gpt-4o" and dates as "gpt-4o-2024-08-06" are taken; open models ("gpt-oss-20b", "gpt-j-6b") are not such names.
std::string_view task_of_openai_name(std::string_view name);
// "text-embedding-3-small" -> 1536, the numbers in a vector; 0 for other tasks.
int width_of_openai_name(std::string_view name);
// "gpt-4o-mini" -> "gpt-4", of which there are few; empty where task_of_openai_name() is.
std::string_view family_of_openai_name(std::string_view name);

}  // namespace verge::api
