// A sentence to tokens as spaCy's English rules cut it: special cases, prefixes and suffixes peeled
// off, infixes; then a part of speech for each.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/phonemes/pattern.h"
#include "support/json.h"

namespace verge::engine::phonemes {

struct Word {
  std::string text;
  bool space = false;  // white space follows
};

class WordSplitter {
 public:
  // `special_cases`: text -> its tokens. Errors: LoadFailed.
  static Result<WordSplitter> make(const json::object& special_cases);
  std::vector<Word> run(std::string_view sentence) const;

 private:
  WordSplitter() = default;
  std::vector<std::string> split(std::string_view chunk) const;
  std::vector<std::string> rejoined(const std::vector<std::string>& tokens) const;
  const std::vector<std::string>* special(std::string_view text) const;

  std::unordered_map<std::string, std::vector<std::string>> special_;
  std::vector<Pattern> patterns_;
};

// An averaged perceptron over Penn Treebank tags.
class Tagger {
 public:
  // tags, tagdict, vocab, weights. Errors: LoadFailed.
  static Result<Tagger> make(const json::object& model);
  std::vector<std::string> run(const std::vector<Word>& words) const;

 private:
  Tagger() = default;
  struct Weights {
    uint32_t begin = 0, end = 0;  // of votes_
  };
  std::string normal(std::string_view word) const;
  const std::string& predict(const std::vector<std::string>& features) const;

  std::vector<std::string> tags_;
  std::unordered_map<std::string, std::string> sure_;  // words with one tag
  std::unordered_set<std::string> vocabulary_;
  std::unordered_map<std::string, Weights> weights_;
  std::vector<std::pair<uint16_t, double>> votes_;  // index of a tag, its weight
};

}  // namespace verge::engine::phonemes
