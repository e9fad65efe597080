// The split rules that GGUF files name in "tokenizer.ggml.pre", and the splitters that carry them out.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizers/regex.h"
#include "engine/tokenizers/text_model.h"

namespace verge::engine {

// How a named pre-tokenizer cuts text, and what else goes with the name.
struct PreTokenizer {
  std::span<const std::string_view> patterns;  // applied one after another; each match and each gap is a word
  enum class Digits { Together, Grouped, GroupedAtWordEnd };
  Digits digits = Digits::Together;  // before the patterns: cut runs of digits in threes from the right
  bool ignore_merges = false;
  bool adds_bos = false;         // where the file does not say
  bool adds_bos_always = false;  // whatever the file says
  bool space_symbols = false;    // SentencePiece-like: U+2581 for spaces, raw UTF-8, "<0xXX>" bytes
};

// nullptr where the name is unknown. "" reads as "default", which old files mean.
const PreTokenizer* find_pre_tokenizer(std::string_view name);

// How a splitter treats the matches of its pattern (Hugging Face's names).
enum class SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

// Cuts every word at the matches of a pattern. Bytes that are no UTF-8 become words of their own.
class RegexSplitter final : public Splitter {
 public:
  explicit RegexSplitter(Regex regex, SplitBehavior behavior = SplitBehavior::Isolated, bool invert = false)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}
  void apply(Words* words) const override;
  bool removes() const override { return behavior_ == SplitBehavior::Removed; }

 private:
  Regex regex_;
  SplitBehavior behavior_;
  bool invert_;
};

// Runs of digits cut in threes from the right (1234567 is 1, 234, 567), as a look-ahead pattern would, but in
// one pass whatever the run's length.
class DigitGroupSplitter final : public Splitter {
 public:
  // `word_end`: decimal digits only, and only a run that ends a word (not "1234th").
  explicit DigitGroupSplitter(bool word_end) : word_end_(word_end) {}
  void apply(Words* words) const override;
  bool removes() const override { return false; }

 private:
  bool is_digit(char32_t point) const;
  bool word_end_;
};

// Applies `parts` in order.
class SplitterSequence final : public Splitter {
 public:
  explicit SplitterSequence(std::vector<std::unique_ptr<Splitter>> parts) : parts_(std::move(parts)) {}
  void apply(Words* words) const override {
    for (const auto& part : parts_) part->apply(words);
  }
  bool removes() const override {
    for (const auto& part : parts_)
      if (part->removes()) return true;
    return false;
  }

 private:
  std::vector<std::unique_ptr<Splitter>> parts_;
};

Result<std::unique_ptr<Splitter>> make_splitter(const PreTokenizer& pre);

// One matched or unmatched stretch of a word, for behaviours to be applied to.
struct Stretch {
  size_t begin, end;
  bool match;
};
// Appends the words that `behavior` makes of the stretches of `text` (which cover it, in order).
void apply_behavior(std::string_view text, std::span<const Stretch> stretches, SplitBehavior behavior, std::vector<std::string_view>* out);

}  // namespace verge::engine
