// Path -> format -> language model. Encoders, image models and speech models have doors of their own beside this one.
#pragma once

#include <memory>
#include <string>

#include "engine/formats/model_file.h"
#include "engine/model.h"
#include "engine/models/open.h"
#include "engine/templates/chat_template.h"
#include "engine/tokenizers/tokenizer.h"

namespace verge::engine {

struct LoadedModel {
  std::shared_ptr<ModelFile> file;               // kept: the embedding table is read from the map
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat_template;   // null where the file has none that compiles
  std::string chat_template_fault;               // why the file's does not
  std::vector<int32_t> stop_ids;
};

// Opens, checks, packs. Errors: LoadFailed naming the file and the tensor or key, Io.
Result<LoadedModel> load_model(const std::string& path, Backend& backend, const LoadOptions& options);

}  // namespace verge::engine
