#include "engine/open.h"

#include "engine/task_of.h"

namespace verge::engine {
namespace {

using Open = Result<OpenedModel> (*)(const std::string& path, Backend& backend, const OpenOptions& options);

LoadOptions load_options(const OpenOptions& options) { return {options.precision, options.progress}; }

Result<OpenedModel> open_text(const std::string& path, Backend& backend, const OpenOptions& options) {
  VERGE_ASSIGN(model, load_model(path, backend, load_options(options)));
  return OpenedModel(std::move(model));
}

Result<OpenedModel> open_encoder(const std::string& path, Backend& backend, const OpenOptions& options) {
  VERGE_ASSIGN(model, load_encoder(path, backend, load_options(options)));
  return OpenedModel(std::move(model));
}

Result<OpenedModel> open_image_model(const std::string& path, Backend& backend, const OpenOptions& options) {
  VERGE_ASSIGN(model, load_image_model(path, backend, load_options(options)));
  return OpenedModel(std::move(model));
}

Result<OpenedModel> open_speech(const std::string& path, Backend& backend, const OpenOptions& options) {
  VERGE_ASSIGN(file, open_model_file(path));
  if (file->architecture != "whisper") return fail(Code::LoadFailed, "{}: architecture '{}' is not supported for speech", path, file->architecture);
  VERGE_ASSIGN(model, Recognizer::open(std::move(file), backend, load_options(options), options.kv_type));
  return OpenedModel(std::move(model));
}

Result<OpenedModel> open_voice(const std::string& path, Backend& backend, const OpenOptions& options) {
  VERGE_ASSIGN(model, Synthesizer::open(path, backend, load_options(options)));
  return OpenedModel(std::move(model));
}

struct Kind {
  std::string_view task;
  Open open;
};
constexpr Kind kKinds[] = {
    {"text-generation", open_text},          {"text-embeddings", open_encoder},      {"text-classification", open_encoder},
    {"image-classification", open_image_model}, {"object-detection", open_image_model}, {"automatic-speech-recognition", open_speech},
    {"text-to-speech", open_voice},
};

}  // namespace

Result<Opened> open(const std::string& path, Backend& backend, const OpenOptions& options) {
  VERGE_ASSIGN(task, task_of(path));
  for (const Kind& kind : kKinds) {
    if (kind.task != task) continue;
    VERGE_ASSIGN(model, kind.open(path, backend, options));
    return Opened{std::move(task), std::move(model)};
  }
  return fail(Code::LoadFailed, "{}: a model for {}, which the engine does not have", path, task);
}

}  // namespace verge::engine
