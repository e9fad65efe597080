#include "api/tasks/task.h"

#include "api/tasks/automatic_speech_recognition.h"
#include "api/tasks/images.h"
#include "api/tasks/text_classification.h"
#include "api/tasks/text_embeddings.h"
#include "api/tasks/text_to_speech.h"
#include "api/text_body.h"

namespace verge::api {
namespace {

constexpr TaskHandler kHandlers[] = {
    {"automatic-speech-recognition", true, parse_speech, speech_answer, false, speech_part, speech_last},
    kImageClassification,
    kObjectDetection,
    {"text-classification", false, parse_text_classification, answer_text_classification},
    {"text-embeddings", false, parse_text_embeddings, answer_text_embeddings},
    {"text-to-speech", false, parse_speaking, speaking_answer},
};

}  // namespace

const TaskHandler* find_task_handler(std::string_view task) {
  for (const TaskHandler& handler : kHandlers)
    if (handler.task == task) return &handler;
  return nullptr;
}

bool is_json_body(std::string_view content_type, std::string_view body) {
  const std::string type = media_type(content_type);
  if (type == "application/json" || type == "text/json" || type.ends_with("+json")) return true;
  if (type.starts_with("image/") || type.starts_with("audio/") || type.starts_with("video/")) return false;
  return type != "application/octet-stream" && looks_like_json(body);
}

}  // namespace verge::api
