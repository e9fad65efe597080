#include "engine/formats/model_file.h"
#include "engine/tokenizers/gguf_tokenizer.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tokenizers/tokenizer_json.h"
#include "engine/tokenizers/tokenizer_model.h"

namespace verge::engine {

Result<std::unique_ptr<Tokenizer>> make_tokenizer(const ModelFile& file) {
  if (!file.tokenizer_json.empty()) return make_json_tokenizer(file);
  if (!file.tokenizer_model.empty()) return make_model_tokenizer(file);
  if (file.format == "hub" && !file.meta.contains("tokenizer.ggml.model")) {
    return fail(Code::LoadFailed, "{}: there is neither tokenizer.json nor tokenizer.model beside the weights", file.path);
  }
  return make_gguf_tokenizer(file);
}

}  // namespace verge::engine
