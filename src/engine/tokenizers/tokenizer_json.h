// A tokenizer from tokenizer.json (Hugging Face's tokenizers library).
#pragma once

#include <memory>

#include "engine/tokenizers/tokenizer.h"

namespace verge::engine {

// Models BPE, Unigram, WordPiece and WordLevel. LoadFailed names any component that is not known. Truncation
// and padding in the file are for training and are not applied.
Result<std::unique_ptr<Tokenizer>> make_json_tokenizer(const ModelFile& file);

}  // namespace verge::engine
