// Byte-pair encoding by a ranked list of merges: byte-level (GPT-2 and its heirs) or on characters
// (SentencePiece vocabularies converted to merges, CLIP).
#pragma once

#include <array>
#include <span>
#include <string>
#include <utility>

#include "engine/tokenizers/text_model.h"
#include "engine/tokenizers/vocabulary.h"

namespace verge::engine {

struct BpeOptions {
  bool byte_level = true;              // words are bytes, the vocabulary is written in GPT-2's alphabet
  bool ignore_merges = false;          // a word that is a token as a whole is taken at once
  bool byte_fallback = false;          // characters without a token become "<0xXX>" tokens
  bool skip_unknown_merges = false;    // merges that name absent tokens are left out
  bool whole_newlines = false;         // a run of line feeds that is a token is taken at once (Gemma 4)
  int32_t unknown = -1;                // for what nothing else covers; -1: left out
  bool fuse_unknown = false;           // neighbouring unknowns are one
  std::string continuing_prefix = {};  // of symbols that do not start a word
  std::string word_suffix = {};        // of the last symbol of a word ("</w>")
};

class Bpe final : public WordModel {
 public:
  // The vocabulary must outlive the model. Merges as GGUF has them, "a b": as in llama.cpp, one
  // that is not two texts or names a text that is no token serves for nothing.
  static Result<std::unique_ptr<Bpe>> make(const Vocabulary& vocabulary, const std::vector<std::string>& merges, BpeOptions options);
  // LoadFailed where a merge names a text that is no token, as in Hugging Face's tokenizers.
  static Result<std::unique_ptr<Bpe>> make(const Vocabulary& vocabulary,
                                           std::span<const std::pair<std::string_view, std::string_view>> merges, BpeOptions options);

  void encode(std::string_view word, SymbolScratch* scratch, std::vector<int32_t>* out) const override;
  size_t kept_bytes(std::string_view text) const override;

 private:
  struct Merge {
    uint64_t pair = UINT64_MAX;  // ids of left and right
    uint32_t rank = kNoMerge;
    int32_t id = -1;
  };
  Bpe(const Vocabulary& vocabulary, BpeOptions options);
  Result<void> add_merges(std::span<const std::pair<std::string_view, std::string_view>> merges, uint32_t rank);
  PairMerge lookup(const Symbol& left, const Symbol& right) const;
  void split_bytes(std::string_view word, SymbolScratch* scratch) const;
  void split_characters(std::string_view word, SymbolScratch* scratch) const;
  void put_unknown(std::string_view bytes, std::vector<int32_t>* out, size_t word_start) const;
  int32_t whole_word(std::string_view word) const;

  const Vocabulary& vocabulary_;
  BpeOptions options_;
  std::array<int32_t, 256> byte_symbols_{};  // token of each byte: of the alphabet, or "<0xXX>"
  std::vector<Merge> merges_;                // open addressing, a power of two
};

}  // namespace verge::engine
