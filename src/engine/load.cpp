#include "engine/load.h"

#include "engine/models/table.h"

namespace verge::engine {

Result<LoadedModel> load_model(const std::string& path, Backend& backend, const LoadOptions& options) {
  LoadedModel loaded;
  VERGE_ASSIGN(file, open_model_file(path));
  loaded.file = std::move(file);
  VERGE_ASSIGN(architecture, find_architecture(*loaded.file));
  // Before the weights: these fail fast.
  auto tokenizer = make_tokenizer(*loaded.file);
  if (!tokenizer) return fail(Code::LoadFailed, "{}: {}", path, tokenizer.error().message);
  loaded.tokenizer = std::move(*tokenizer);
  if (!loaded.file->chat_template.empty()) {
    auto compiled = ChatTemplate::compile(loaded.file->chat_template);
    // The model still takes raw prompts.
    if (compiled) loaded.chat_template = std::move(*compiled);
    else loaded.chat_template_fault = std::move(compiled.error().message);
  }
  VERGE_ASSIGN(model, architecture->load(loaded.file, backend, options));
  loaded.model = std::move(model);
  if (loaded.tokenizer->vocabulary() > loaded.model->info().vocabulary) {
    return fail(Code::LoadFailed, "{}: the tokenizer has {} tokens, the model {}", path, loaded.tokenizer->vocabulary(),
                loaded.model->info().vocabulary);
  }
  loaded.stop_ids = loaded.file->stop_ids;
  std::erase_if(loaded.stop_ids, [&](int32_t id) { return id >= loaded.model->info().vocabulary; });
  return loaded;
}

}  // namespace verge::engine
