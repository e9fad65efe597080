// What the three formats of Whisper models share: the vocabulary's special tokens, tensors that need other bytes, the list of languages.
//
// A ModelFile of Whisper has architecture "whisper", the hub's tensor names and these keys of the hub's
// config.json and generation_config.json: encoder_layers, decoder_layers, encoder_attention_heads, decoder_attention_heads; where
// known suppress_tokens, begin_suppress_tokens, alignment_heads (layer, head, layer, head …). "tokens" has each token by id, special
// ones as "<|…|>", the others as bytes or, where "tokens_byte_level" is true, in GPT-2's byte-level alphabet; it is absent where a
// folder has weights alone.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/model_file.h"

namespace verge::engine {

// Codes of the languages in the order of their tokens (openai/whisper, tokenizer.py).
std::span<const std::string_view> whisper_languages();

// `tokens` holds text tokens only, as whisper.cpp's files do: appends the special ones, up to `vocabulary`, as
// openai/whisper numbers them. LoadFailed where the numbers fit no Whisper model.
Result<> add_whisper_specials(const std::string& path, int64_t vocabulary, std::vector<std::string>* tokens);

// Copies tensors that lie at addresses odd for their type to aligned memory that the file owns.
Result<> align_tensors(ModelFile* file);

}  // namespace verge::engine
