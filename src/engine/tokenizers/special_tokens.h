// Splits text at the tokens that are matched on raw text before any other rule: control tokens
// ("<|im_end|>") and user-defined ones (Gemma's runs of spaces).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizers/trie.h"

namespace verge::engine {

struct SpecialToken {
  std::string text;
  int32_t id = -1;
  bool special = false;     // matched only where special tokens are parsed
  bool strip_left = false;  // takes the white space before it along
  bool strip_right = false;
  bool single_word = false;  // only between characters that are no word characters
};

struct Fragment {
  std::string_view text;  // plain text, where id is -1
  int32_t id = -1;
};

class SpecialTokens {
 public:
  // LongestFirst: the longest token of the whole text is taken first, wherever it is (llama.cpp, for GGUF).
  // LeftmostLongest: left to right (Hugging Face, for tokenizer.json).
  enum class Order { LongestFirst, LeftmostLongest };

  SpecialTokens() = default;
  SpecialTokens(std::vector<SpecialToken> tokens, Order order);
  bool empty() const { return tokens_.empty(); }
  // `parse_special` false leaves the special ones as text; the others are matched always.
  void partition(std::string_view text, bool parse_special, std::vector<Fragment>* out) const;

 private:
  struct Match {
    size_t begin, end;  // with the white space taken along
    int32_t token;      // index into tokens_, in order of preference
  };
  void longest_first(std::string_view text, const Trie& trie, std::vector<Match>* matches) const;
  void leftmost(std::string_view text, const Trie& trie, std::vector<Match>* matches) const;

  std::vector<SpecialToken> tokens_;  // longest first
  Order order_ = Order::LeftmostLongest;
  Trie all_, plain_;  // value: index into tokens_; plain_ lacks the special ones
};

}  // namespace verge::engine
