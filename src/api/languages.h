// Names of languages: what clients write, and Whisper's codes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace verge::api {

// "en" -> "english"; the code itself where it is not known.
std::string language_name(std::string_view code);

// Whisper's code of a language: "en" of "en", "EN", "en-US", "en_GB.UTF-8", "eng" and "English". Region, script and
// encoding have no effect. nullopt where the text names no language that Whisper knows.
std::optional<std::string> language_code(std::string_view text);

// Whether a text asks to find the language out: empty, "auto", "detect".
bool means_detection(std::string_view text);

}  // namespace verge::api
