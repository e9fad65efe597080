// A tokenizer from tokenizer.model (a SentencePiece model, BPE or unigram).
#pragma once

#include <memory>

#include "engine/tokenizers/tokenizer.h"

namespace verge::engine {

// LoadFailed where the protobuf is damaged or the model is of another kind (word, char; tiktoken's text format).
Result<std::unique_ptr<Tokenizer>> make_model_tokenizer(const ModelFile& file);

}  // namespace verge::engine
