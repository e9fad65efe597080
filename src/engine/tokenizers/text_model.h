// The two inner stages of every tokenizer: text is cut into words, and a word becomes token ids.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizers/symbols.h"

namespace verge::engine {

// Turns one word into ids, whatever stands around it. Any bytes are accepted.
class WordModel {
 public:
  virtual ~WordModel() = default;
  virtual void encode(std::string_view word, SymbolScratch* scratch, std::vector<int32_t>* out) const = 0;
  // How many bytes of a text are within some id whose text is as long: neither left out nor folded together. 0 = not known.
  virtual size_t kept_bytes(std::string_view /*text*/) const { return 0; }
};

// Rewrites a fragment of text before it is cut.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // `first`: nothing but special tokens' matches may stand before the fragment; `after_special`: it starts
  // the text or follows a special token.
  struct Place {
    bool first = true;
    bool after_special = true;
  };
  virtual void apply(std::string* text, const Place& place) const = 0;
  // The text may become shorter.
  virtual bool shortens() const { return true; }
};

// The words of one fragment: views of its text, or of strings that a splitter had to make.
struct Words {
  std::vector<std::string_view> list;
  std::deque<std::string> owned;
  bool first = true;  // the first word is the beginning of the whole text

  std::string_view own(std::string text) { return owned.emplace_back(std::move(text)); }
};

// Cuts each word of the list further (the list starts as the one fragment).
class Splitter {
 public:
  virtual ~Splitter() = default;
  virtual void apply(Words* words) const = 0;
  // Some text may belong to no word.
  virtual bool removes() const { return true; }
};

}  // namespace verge::engine
