// SentencePiece's BPE: neighbouring symbols whose joined text is a token merge, best score first; what is
// left without a token becomes "<0xXX>" bytes, or the unknown token (one for neighbours).
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "engine/tokenizers/text_model.h"
#include "engine/tokenizers/vocabulary.h"

namespace verge::engine {

class SentencePieceBpe final : public WordModel {
 public:
  // The vocabulary must outlive the model. Words are already escaped (spaces are U+2581).
  SentencePieceBpe(const Vocabulary& vocabulary, int32_t unknown);
  void encode(std::string_view word, SymbolScratch* scratch, std::vector<int32_t>* out) const override;
  size_t kept_bytes(std::string_view text) const override;

 private:
  int32_t mergeable(std::string_view text) const;
  using Halves = std::vector<std::pair<int32_t, uint32_t>>;  // unused token, bytes of its left half, as offered
  void resegment(std::string_view text, const Halves& halves, size_t word_start, std::vector<int32_t>* out) const;
  void put_bytes(std::string_view text, size_t word_start, std::vector<int32_t>* out) const;

  const Vocabulary& vocabulary_;
  int32_t unknown_;
  std::array<int32_t, 256> bytes_{};
};

// Cuts escaped text where a word begins (at U+2581), so that words can be remembered. The ids stay the same: it
// cuts only after code points that stand before a U+2581 in no token, where no merge can reach across.
class SpaceSymbolSplitter final : public Splitter {
 public:
  explicit SpaceSymbolSplitter(const Vocabulary& vocabulary);
  void apply(Words* words) const override;
  bool removes() const override { return false; }

 private:
  std::vector<char32_t> before_space_;  // code points after which there is no cut; sorted
};

// The white-space rules of SentencePiece models: a space before the text (and after special tokens), and
// every space as U+2581.
class SpaceSymbolNormalizer final : public Normalizer {
 public:
  SpaceSymbolNormalizer(bool space_prefix, bool merge_spaces) : space_prefix_(space_prefix), merge_spaces_(merge_spaces) {}
  void apply(std::string* text, const Place& place) const override;
  bool shortens() const override { return merge_spaces_; }

 private:
  bool space_prefix_, merge_spaces_;
};

}  // namespace verge::engine
