// What was heard, as published answers and as subtitles. `result` is that of worker/tasks/automatic_speech_recognition.h.
#pragma once

#include <string>
#include <string_view>

#include "support/json.h"

namespace verge::api {

// Whisper's answer on the native routes. One shape for all of its models: what each publishes, and what tutorials read beside
// it ("duration", "segments").
json::object native_transcript(const json::object& result);

// A window's share of it: {"text", "segments", "seconds", "duration"}.
json::object native_part(const json::object& part);

std::string web_vtt(const json::object& result);
std::string sub_rip(const json::object& result);

// OpenAI's verbose_json.
json::object verbose_transcript(const json::object& result, bool translated, bool words, bool segments);

}  // namespace verge::api
