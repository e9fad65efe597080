// SentencePiece's BPE: neighbouring symbols whose joined text is a token merge, best score first; what is
// left without a token becomes "<0xXX>" bytes, or the unknown token.
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

  // Code points that stand directly before a U+2581 inside some token. Where another one stands before a
  // U+2581 no merge can reach across, so the text may be cut there: the ids stay the same.
  const std::vector<char32_t>& before_space() const { return before_space_; }

 private:
  int32_t mergeable(std::string_view text) const;
  using Halves = std::vector<std::pair<int32_t, uint32_t>>;  // unused token, bytes of its left half, as offered
  void resegment(std::string_view text, const Halves& halves, std::vector<int32_t>* out) const;
  void put_bytes(std::string_view text, std::vector<int32_t>* out) const;

  const Vocabulary& vocabulary_;
  int32_t unknown_;
  std::array<int32_t, 256> bytes_{};
  std::vector<char32_t> before_space_;
};

// Cuts escaped text at word beginnings (see before_space).
class SpaceSymbolSplitter final : public Splitter {
 public:
  explicit SpaceSymbolSplitter(const std::vector<char32_t>& before_space) : before_space_(before_space) {}
  void apply(Words* words) const override;

 private:
  const std::vector<char32_t>& before_space_;
};

// The white-space rules of SentencePiece models: a space before the text (and after special tokens), and
// every space as U+2581.
class SpaceSymbolNormalizer final : public Normalizer {
 public:
  SpaceSymbolNormalizer(bool space_prefix, bool merge_spaces) : space_prefix_(space_prefix), merge_spaces_(merge_spaces) {}
  void apply(std::string* text, const Place& place) const override;

 private:
  bool space_prefix_, merge_spaces_;
};

}  // namespace verge::engine
