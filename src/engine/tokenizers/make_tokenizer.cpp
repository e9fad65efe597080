#include "engine/formats/model_file.h"
#include "engine/tokenizers/gguf_tokenizer.h"
#include "engine/tokenizers/tokenizer.h"

namespace verge::engine {

Result<std::unique_ptr<Tokenizer>> make_tokenizer(const ModelFile& file) {
  return make_gguf_tokenizer(file);
}

}  // namespace verge::engine
