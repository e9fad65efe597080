// Speech to text: the published inputs of Whisper's models -> Request.params (protocol/tasks/automatic_speech_recognition.h).
//
// A clip comes as a raw body, a byte array (`audio: [82, 73, …]`), base64 (`audio: "UklGR…"`, also as `{body, contentType}`), or as a
// field `audio` or `file` of a form. All models take all of these, and all parameters of whisper-large-v3-turbo.
#pragma once

#include "api/tasks/params.h"
#include "api/tasks/task.h"
#include "protocol/tasks/automatic_speech_recognition.h"

namespace verge::api {

Result<TaskRequest> parse_speech(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
Result<json::value> speech_answer(const Answer& answer, const json::object& context);

// Of a stream (`stream: true`, which no schema publishes for speech): an event a window, {"text", "segments", "seconds", "duration"}
// with the segments that have become certain, and a last one with the rest of the whole answer: {"transcription_info",
// "word_count", "duration", "vtt"}. The texts joined are the whole answer's text.
json::value speech_part(const protocol::Part& part);
json::value speech_last(const Answer& answer);

// The parameters alone, which all routes share.
Result<protocol::SpeechParameters> speech_params(const json::object& body, ValuesAre values);

}  // namespace verge::api
