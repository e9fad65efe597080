// The one Tokenizer behind every format: special tokens, normaliser, splitter, word model, in that order.
// gguf_tokenizer, tokenizer_json and tokenizer_model fill the parts in.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/tokenizers/special_tokens.h"
#include "engine/tokenizers/text_model.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tokenizers/vocabulary.h"

namespace verge::engine {

// The bytes that decoding a token appends, by id, in one arena.
class PieceTable {
 public:
  void add(std::string_view bytes) {
    arena_.append(bytes);
    ends_.push_back(static_cast<uint32_t>(arena_.size()));
  }
  void reserve(size_t tokens, size_t bytes) {
    ends_.reserve(tokens);
    arena_.reserve(bytes);
  }
  int32_t size() const { return static_cast<int32_t>(ends_.size()); }
  std::string_view at(int32_t id) const {
    uint32_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(arena_).substr(begin, ends_[id] - begin);
  }

 private:
  std::string arena_;
  std::vector<uint32_t> ends_;
};

class Pipeline final : public Tokenizer {
 public:
  // Lives at one address: models and splitters may refer to it.
  std::unique_ptr<Vocabulary> tokens = std::make_unique<Vocabulary>();
  SpecialTokens special;                   // matched on raw text
  SpecialTokens special_normalized;        // matched on normalised text (Hugging Face's "normalized" tokens)
  std::unique_ptr<Normalizer> normalizer;  // may be null
  std::unique_ptr<Splitter> splitter;      // null: a fragment is one word
  std::unique_ptr<WordModel> model;
  bool cache_words = true;              // words repeat: worth remembering within one text
  PieceTable pieces;                    // with control tokens' texts
  std::vector<int32_t> prefix, suffix;  // what add_special puts around a text
  int32_t bos_id = -1, eos_id = -1;
  bool drop_leading_space = false;  // decode() removes the space that encoding put before the text

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string piece(int32_t id, bool special_too) const override;
  std::string decode(const std::vector<int32_t>& ids, bool special_too) const override;
  int32_t vocabulary() const override { return tokens->size(); }
  size_t least_tokens(std::string_view text) const override;
  int32_t bos() const override { return bos_id; }
  int32_t eos() const override { return eos_id; }
  bool adds_bos() const override { return bos_id >= 0 && !prefix.empty() && prefix[0] == bos_id; }
  int32_t find(std::string_view token) const override { return tokens->find(token); }
  bool is_control(int32_t id) const override;

 private:
  class WordCache;
  struct Encoding;  // one text on its way
  void encode_fragment(std::string_view text, Normalizer::Place place, bool parse_special,
                       std::span<const TextRange> foreign, Encoding* to) const;
  std::optional<std::vector<TextRange>> normalized_ranges(std::string_view text,
                                                          const Normalizer::Place& place,
                                                          std::span<const TextRange> foreign,
                                                          std::string_view normalized) const;
  void encode_words(std::string_view text, bool first, Encoding* to) const;
};

}  // namespace verge::engine
