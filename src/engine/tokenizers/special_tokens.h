// Splits text at the tokens that are matched on raw text before any other rule: control tokens
// ("<|im_end|>") and user-defined ones (Gemma's runs of spaces).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizers/foreign_text.h"
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

// Whether text from a client must not become the token: control tokens, those that end an answer,
// and those that files call user-defined though they build a conversation ("<|message|>",
// "<｜User｜>").
bool guards_a_turn(std::string_view token, int32_t id, bool control,
                   std::span<const int32_t> stop_ids);

struct Fragment {
  std::string_view text;  // plain text, where id is -1
  int32_t id = -1;
  bool special = false;  // of the token
};

class SpecialTokens {
 public:
  // LongestFirst: the longest token of the whole text is taken first, wherever it is (llama.cpp, for GGUF).
  // LeftmostLongest: left to right (Hugging Face, for tokenizer.json).
  enum class Order { LongestFirst, LeftmostLongest };

  SpecialTokens() = default;
  SpecialTokens(std::vector<SpecialToken> tokens, Order order);
  bool empty() const { return tokens_.empty(); }
  // Some of them take white space along, any amount of it.
  bool strips() const;
  // `parse_special` false leaves the special ones as text, and so do bytes within `foreign` (as in
  // ForeignText): a special token has none of them. The others are matched always.
  void partition(std::string_view text, bool parse_special, std::span<const TextRange> foreign,
                 std::vector<Fragment>* out) const;

 private:
  struct Match {
    size_t begin, end;  // with the white space taken along
    int32_t token;      // index into tokens_, in order of preference
  };
  // The longest token that may begin at a byte of the text: see partition.
  class Offers;
  void longest_first(const Offers& offers, std::vector<Match>* matches) const;
  void leftmost(const Offers& offers, std::vector<Match>* matches) const;

  std::vector<SpecialToken> tokens_;  // longest first
  Order order_ = Order::LeftmostLongest;
  Trie all_, plain_;  // value: index into tokens_; plain_ lacks the special ones
};

}  // namespace verge::engine
