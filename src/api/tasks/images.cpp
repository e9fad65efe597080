#include "api/tasks/images.h"

#include "api/tasks/params.h"
#include "catalogue/schema.h"

namespace verge::api {

Result<TaskRequest> parse_image(TaskInput input, const catalogue::Entry&, const json::object& schema) {
  const bool raw = !input.payload.empty() && input.payload_key.empty();
  if (!raw) {
    VERGE_TRY(catalogue::validate(schema, input.json));
    const json::object* body = input.json.if_object();
    if (!body) return fail(Code::InvalidInput, "Type mismatch of '/', 'object' not in '{}'", type_name(input.json));
    const json::value* image = body->if_contains("image");
    if (!image || image->is_null()) return fail(Code::InvalidInput, "required properties at '/' are 'image'");
    if (!image->is_array()) return fail(Code::InvalidInput, "Type mismatch of '/image', 'array' not in '{}'", type_name(*image));
    // An array that was not lifted out of the text has something else than bytes in it.
    if (input.payload.empty() || input.payload_key != "image") return fail(Code::InvalidInput, "'/image' must hold the image file's bytes as integers from 0 to 255");
  }
  TaskRequest request;
  request.payload = std::move(input.payload);
  return request;
}

json::value image_answer(const Answer& answer, const json::object&) { return answer.result; }

}  // namespace verge::api
