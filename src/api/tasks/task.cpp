#include "api/tasks/task.h"

#include "api/tasks/automatic_speech_recognition.h"
#include "api/tasks/images.h"
#include "api/tasks/text_classification.h"
#include "api/tasks/text_embeddings.h"
#include "http/message.h"

namespace verge::api {
namespace {

constexpr TaskHandler kHandlers[] = {
    {"automatic-speech-recognition", true, parse_speech, speech_answer, false, speech_part, speech_last},
    kImageClassification,
    kObjectDetection,
    {"text-classification", false, parse_text_classification, answer_text_classification},
    {"text-embeddings", false, parse_text_embeddings, answer_text_embeddings},
};

bool begins_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && http::equal_names(text.substr(0, start.size()), start);
}

}  // namespace

const TaskHandler* find_task_handler(std::string_view task) {
  for (const TaskHandler& handler : kHandlers)
    if (handler.task == task) return &handler;
  return nullptr;
}

bool is_json_body(std::string_view content_type, std::string_view body) {
  if (begins_with(content_type, "application/json")) return true;
  for (std::string_view raw : {"image/", "audio/", "video/", "application/octet-stream"})
    if (begins_with(content_type, raw)) return false;
  const size_t first = body.find_first_not_of(" \t\r\n");
  return first != body.npos && body[first] == '{';
}

}  // namespace verge::api
