// Speech to text: the published inputs of Whisper's models -> Request.params (worker/tasks/automatic_speech_recognition.h).
//
// A clip comes as a raw body, a byte array (`audio: [82, 73, …]`), base64 (`audio: "UklGR…"`, also as `{body, contentType}`), or as a
// field `audio` or `file` of a form. All models take all of these, and all parameters of whisper-large-v3-turbo.
#pragma once

#include "api/tasks/task.h"

namespace verge::api {

Result<TaskRequest> parse_speech(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
json::value speech_answer(const Answer& answer, const json::object& context);

// The parameters alone, which all routes share.
Result<json::object> speech_params(const json::object& body);

}  // namespace verge::api
