// Text to token ids and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizers/foreign_text.h"
#include "support/error.h"

namespace verge::engine {

struct ModelFile;

struct EncodeOptions {
  bool add_special = true;    // BOS (and EOS) as the model's files say
  bool parse_special = true;  // "<|im_end|>" in the text becomes the control token; false = plain text
  // Bytes that no control token may touch, though parse_special is set: ForeignText's ranges.
  std::span<const TextRange> foreign = {};
  // Encoding stops soon after so many ids: what is returned then are more, the first of them as without the limit.
  size_t most_tokens = SIZE_MAX;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Invalid UTF-8 is encoded bytewise where the vocabulary can, else as the unknown token.
  virtual std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const = 0;
  // Raw bytes of one token as decoding appends them ("" for control tokens unless `special`).
  // The concatenation over a sequence is the text, but for a leading space that SentencePiece
  // models drop at the very start (see decode).
  virtual std::string piece(int32_t id, bool special = false) const = 0;
  // Whole text of a sequence that starts a text: leading-space rule applied.
  virtual std::string decode(const std::vector<int32_t>& ids, bool special = false) const = 0;
  virtual int32_t vocabulary() const = 0;
  // So many ids at least does the text have, told from its bytes alone; 0 = nothing can be told (a tokenizer may fold or
  // leave out any amount of text).
  virtual size_t least_tokens(std::string_view text) const = 0;
  virtual int32_t bos() const = 0;  // -1 = none
  virtual int32_t eos() const = 0;
  virtual bool adds_bos() const = 0;
  // Id of an exact token text, -1 where there is none.
  virtual int32_t find(std::string_view token) const = 0;
  virtual bool is_control(int32_t id) const = 0;
};

// From GGUF metadata ("tokenizer.ggml.*": models gpt2, llama, bert, t5 (unigram)), tokenizer.json or tokenizer.model.
// Fails with LoadFailed, naming what is unknown (never a guess): pre-tokenizer, model type, normaliser.
Result<std::unique_ptr<Tokenizer>> make_tokenizer(const ModelFile& file);

}  // namespace verge::engine
