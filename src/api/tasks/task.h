// The tasks that answer with one JSON value, as the native routes publish them: one file of this folder each, and
// one line in task.cpp. (Text generation streams, and has files of its own.)
#pragma once

#include <string>
#include <string_view>

#include "api/generation.h"
#include "catalogue/entry.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::api {

// What a client sent as a model's inputs, over REST or the binding.
struct TaskInput {
  json::value json;          // the inputs, `[]` in the place of a lifted byte array; an object without members beside a raw body
  std::string payload;       // a raw body, or the byte array that stood in the JSON
  std::string payload_key;   // "image", "audio": the member that held the array; empty for a raw body
  std::string content_type;  // of a raw body
};

struct TaskRequest {
  json::object params;   // of the task's struct in protocol/tasks/<task>.h
  std::string payload;
  json::object context;  // what answer() wants to know of the request
  bool stream = false;   // server-sent events, where the task has them
  std::string stream_type;  // where not empty, the answer is the bytes of its Parts, of this content type
  std::vector<std::string> ignored;  // names that no table of parameters.h has
};

struct TaskHandler {
  std::string_view task;
  bool takes_payload;  // else a body is JSON, whatever its content type says
  // `schema` is the model's published input. InvalidInput and UnsupportedParameter name the field.
  Result<TaskRequest> (*parse)(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
  // The published result, without an envelope. Internal where `answer.result` is not what protocol/tasks/<task>.h says.
  Result<json::value> (*answer)(const Answer& answer, const json::object& context);
  bool image_list = false;  // it is a list about a picture, which --image-result results wraps
  // A Part of the result as an event of a stream, and the last event before [DONE]; null where the task does not stream.
  json::value (*part)(const protocol::Part& part) = nullptr;
  json::value (*last)(const Answer& answer) = nullptr;
};

// Null where the task has none.
const TaskHandler* find_task_handler(std::string_view task);

// Whether a body is taken for JSON: by its content type, and where that says nothing (curl's default says form), by
// its first character.
bool is_json_body(std::string_view content_type, std::string_view body);

}  // namespace verge::api
