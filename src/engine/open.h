// The one door to a model's files: what they hold is told from them (task_of.h), and comes back ready to compute.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "engine/encoder.h"
#include "engine/image_model.h"
#include "engine/load.h"
#include "engine/speech/recognizer.h"
#include "engine/speech/synthesizer.h"

namespace verge::engine {

struct OpenOptions {
  Precision precision = Precision::Native;
  KvType kv_type = KvType::F16;                  // of what the model keeps for itself (speech)
  std::function<void(double fraction)> progress;  // may be empty
};

// text-generation; text-embeddings and text-classification; image-classification and object-detection;
// automatic-speech-recognition; text-to-speech.
using OpenedModel = std::variant<LoadedModel, LoadedEncoder, std::unique_ptr<ImageModel>, std::unique_ptr<Recognizer>, std::unique_ptr<Synthesizer>>;

struct Opened {
  std::string task;
  OpenedModel model;
};

// `path`: a file or folder in any format that the engine reads. `backend` outlives the model. Errors: LoadFailed, Io.
Result<Opened> open(const std::string& path, Backend& backend, const OpenOptions& options);

// The same where one kind of model will do. LoadFailed names the task where the files are of another.
template <class Model>
Result<Model> open_as(const std::string& path, Backend& backend, const OpenOptions& options) {
  VERGE_ASSIGN(opened, open(path, backend, options));
  if (Model* model = std::get_if<Model>(&opened.model)) return std::move(*model);
  return fail(Code::LoadFailed, "{}: a model for {}, which is not what is to be opened here", path, opened.task);
}

}  // namespace verge::engine
