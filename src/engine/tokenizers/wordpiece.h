// WordPiece, BERT's tokenizer: words are cut from text by simple rules, then each is covered greedily by the
// longest tokens, or is unknown as a whole.
#pragma once

#include <string>

#include "engine/tokenizers/text_model.h"
#include "engine/tokenizers/vocabulary.h"

namespace verge::engine {

class WordPiece final : public WordModel {
 public:
  struct Options {
    int32_t unknown = -1;
    std::string word_prefix;               // of tokens that begin a word: U+2581 in GGUF files
    std::string continuing_prefix = "##";  // of tokens inside a word: nothing in GGUF files
    size_t longest_word = 0;               // characters; a longer word is unknown. 0: no limit
  };
  // The vocabulary must outlive the model.
  WordPiece(const Vocabulary& vocabulary, Options options) : vocabulary_(vocabulary), options_(std::move(options)) {}
  void encode(std::string_view word, SymbolScratch* scratch, std::vector<int32_t>* out) const override;

 private:
  const Vocabulary& vocabulary_;
  Options options_;
};

// BERT's cleaning: control characters out, white space as spaces, Chinese characters as words, then
// perhaps accents stripped (NFD less Mn) and lower case.
class BertNormalizer final : public Normalizer {
 public:
  struct Options {
    bool clean_text = true;
    bool split_chinese = true;
    bool strip_accents = true;
    bool lowercase = true;
  };
  explicit BertNormalizer(Options options) : options_(options) {}
  void apply(std::string* text, const Place& place) const override;

 private:
  Options options_;
};

// Words between white space, each punctuation character a word of its own.
class BertSplitter final : public Splitter {
 public:
  void apply(Words* words) const override;
};

}  // namespace verge::engine
