// The vocabulary file of llama2.c ("tokenizer.bin", "tok512.bin"), which some small checkpoints carry in place
// of tokenizer.json: u32 longest token, then for each token f32 score, i32 length, bytes (little-endian; spaces
// stand for U+2581; <s> and </s> have line breaks around them). Format: llama2.c's tokenizer.py, export().
#pragma once

#include <string>
#include <string_view>

#include "engine/formats/model_file.h"

namespace verge::engine {

// Fills the "tokenizer.ggml.*" keys as GGUF has them for a SentencePiece vocabulary. The file holds no count:
// `vocabulary` says how many tokens must be in it. LoadFailed where the bytes do not fit.
Result<void> read_llama2c_vocabulary(std::string_view bytes, int64_t vocabulary, const std::string& path, ModelFile* file);

}  // namespace verge::engine
