// SentencePiece's unigram model: the segmentation with the greatest sum of token scores (Viterbi).
#pragma once

#include <optional>

#include "engine/tokenizers/charsmap.h"
#include "engine/tokenizers/text_model.h"
#include "engine/tokenizers/trie.h"
#include "engine/tokenizers/vocabulary.h"

namespace verge::engine {

class Unigram final : public WordModel {
 public:
  struct Options {
    int32_t unknown = -1;
    bool byte_fallback = false;           // unknown characters become "<0xXX>" tokens
    bool single_precision = false;        // sums kept in f32, as SentencePiece does: it decides between equal spellings
    bool user_defined_by_length = false;  // SentencePiece's score for user-defined tokens; else 0, llama.cpp's
  };
  // The vocabulary must outlive the model.
  Unigram(const Vocabulary& vocabulary, Options options);
  void encode(std::string_view word, SymbolScratch* scratch, std::vector<int32_t>* out) const override;

 private:
  double score_of(int32_t id, size_t bytes) const;

  const Vocabulary& vocabulary_;
  Options options_;
  Trie trie_;
  double unknown_score_ = 0, greatest_score_ = 0;
};

// SentencePiece's normaliser: the character map (user-defined tokens left as they are), then the white-space rules.
class SentencePieceNormalizer final : public Normalizer {
 public:
  struct Options {
    bool space_prefix = true;  // a space before the text, or after it (treat_whitespace_as_suffix)
    bool space_is_suffix = false;
    bool merge_spaces = true;          // runs become one; none at the ends
    bool escape = true;                // spaces as U+2581
    bool prefix_each_fragment = true;  // after special tokens too
  };
  SentencePieceNormalizer(CharsMap map, Trie user_defined, Options options)
      : map_(std::move(map)), user_defined_(std::move(user_defined)), options_(options) {}
  void apply(std::string* text, const Place& place) const override;

 private:
  CharsMap map_;
  Trie user_defined_;
  Options options_;
};

}  // namespace verge::engine
