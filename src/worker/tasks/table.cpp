#include "worker/tasks/table.h"

#include <algorithm>

#include "engine/task_of.h"
#include "worker/speaking_service.h"
#include "worker/speech_service.h"

namespace verge::worker {
namespace {

constexpr Task kTasks[] = {
    {"image-classification", open_image_model},
    {"object-detection", open_image_model},
    {"text-classification", open_text_classification},
    {"text-embeddings", open_text_embeddings},
    {"text-generation", open_text_generation},
    {"automatic-speech-recognition", open_speech_recognition},
    {"text-to-speech", open_text_to_speech},
};

}  // namespace

const Task* find_task(std::string_view name) {
  const auto* found = std::ranges::find_if(kTasks, [name](const Task& task) { return name == task.name; });
  return found == std::end(kTasks) ? nullptr : found;
}

Result<std::unique_ptr<ModelService>> open_service(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options) {
  VERGE_ASSIGN(name, engine::task_of(host.path));
  const Task* task = find_task(name);
  if (!task) return fail(Code::LoadFailed, "{}: a model for {}, which this build does not serve", host.path, name);
  return task->open(std::move(io), host, std::move(options));
}

}  // namespace verge::worker
