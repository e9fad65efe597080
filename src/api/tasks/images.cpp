#include "api/tasks/images.h"

#include "api/base64.h"
#include "api/errors.h"
#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "catalogue/schema.h"
#include "protocol/tasks/images.h"

namespace verge::api {
namespace {

// Base64 or a data URL, alone or as {"body": …}; published schemas have arrays of bytes only.
Result<void> decode_text(TaskInput& input) {
  json::object* body = input.json.if_object();
  json::value* image = body ? body->if_contains("image") : nullptr;
  const json::value* text = image && image->is_object() ? image->get_object().if_contains("body") : image;
  if (!text || !text->is_string()) return {};
  const std::string_view pointer = image->is_object() ? "/image/body" : "/image";
  if (is_address(text->get_string())) return not_built(pointer, "addresses are not fetched; send the picture's bytes or base64");
  auto bytes = decode_base64(text->get_string());
  if (!bytes) return fail_at(Code::InvalidInput, std::string(pointer), "'{}' is not base64", pointer);
  if (bytes->empty()) return fail(Code::InvalidInput, "the picture is empty");
  input.payload = std::move(*bytes);
  input.payload_key = "image";
  *image = json::array();
  return {};
}

}  // namespace

Result<TaskRequest> parse_image(TaskInput input, const catalogue::Entry&, const json::object& schema) {
  const bool raw = !input.payload.empty() && input.payload_key.empty();
  TaskRequest request;
  if (json::object* body = input.json.if_object()) {
    VERGE_ASSIGN(ignored, check_parameters(Surface::NativePictures, *body));
    request.ignored = std::move(ignored);
  }
  if (!raw) {
    VERGE_TRY(decode_text(input));
    VERGE_TRY(catalogue::validate(schema, input.json));
    const json::object* body = input.json.if_object();
    if (!body) return fail(Code::InvalidInput, "Type mismatch of '/', 'object' not in '{}'", type_name(input.json));
    const json::value* image = body->if_contains("image");
    if (!image || image->is_null()) return fail(Code::InvalidInput, "required properties at '/' are 'image'");
    if (!image->is_array()) return fail_at(Code::InvalidInput, "/image", "Type mismatch of '/image', 'array' not in '{}'", type_name(*image));
    // An array that was not lifted out of the text has something else than bytes in it.
    if (input.payload.empty() || input.payload_key != "image") return fail_at(Code::InvalidInput, "/image", "'/image' must hold the image file's bytes as integers from 0 to 255");
  }
  request.payload = std::move(input.payload);
  return request;
}

Result<json::value> classification_answer(const Answer& answer, const json::object&) {
  VERGE_ASSIGN(result, protocol::image_classes(answer.result));
  json::array out;
  for (const protocol::ClassScore& one : result.classes) out.push_back(json::object{{"label", one.label}, {"score", one.score}});
  return json::value(std::move(out));
}

Result<json::value> detection_answer(const Answer& answer, const json::object&) {
  VERGE_ASSIGN(result, protocol::found_objects(answer.result));
  json::array out;
  for (const protocol::FoundObject& one : result.objects) {
    json::object box{{"xmin", one.xmin}, {"ymin", one.ymin}, {"xmax", one.xmax}, {"ymax", one.ymax}};
    out.push_back(json::object{{"label", one.label}, {"score", one.score}, {"box", std::move(box)}});
  }
  return json::value(std::move(out));
}

}  // namespace verge::api
