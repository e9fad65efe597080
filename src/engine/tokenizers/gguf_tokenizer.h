// A tokenizer from GGUF metadata ("tokenizer.ggml.*").
#pragma once

#include <memory>

#include "engine/tokenizers/tokenizer.h"

namespace verge::engine {

// Models gpt2 and gemma4 (BPE), llama (SentencePiece BPE), t5 (unigram), bert (WordPiece).
Result<std::unique_ptr<Tokenizer>> make_gguf_tokenizer(const ModelFile& file);

}  // namespace verge::engine
