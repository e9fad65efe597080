// What was heard, as published answers and as subtitles. 
#pragma once

#include <string>
#include <string_view>

#include "protocol/tasks/automatic_speech_recognition.h"
#include "support/json.h"

namespace verge::api {

// Whisper's answer on the native routes. One shape for all of its models: what each publishes, and what tutorials read beside
// it ("duration", "segments").
json::object native_transcript(const protocol::Transcript& result);

// A window's share of it: {"text", "segments", "seconds", "duration"}.
json::object native_part(const protocol::TranscriptPart& part);

std::string web_vtt(const protocol::Transcript& result);
std::string sub_rip(const protocol::Transcript& result);

// OpenAI's verbose_json.
json::object verbose_transcript(const protocol::Transcript& result, bool translated, bool words, bool segments);

}  // namespace verge::api
