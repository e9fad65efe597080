// English text to phonemes in the alphabet of misaki, which Kokoro's voices and their kin were
// trained on: normalise, cut into tokens, tag, look up, join. No network: words that no rule reads
// go to `spell`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/phonemes/lexicon.h"
#include "engine/phonemes/normalize.h"
#include "engine/phonemes/words.h"

namespace verge::engine::phonemes {

class English {
 public:
  // Phonemes of letters that form no known word; empty where there are none.
  using Spell = std::function<std::u32string(std::string_view letters)>;

  // `tables`: front_end.json. Errors: LoadFailed naming the table.
  static Result<std::unique_ptr<English>> make(const json::object& tables);

  // Sentences of a text, in order, each of at most limits::kPhonemeIds - 2 phonemes: longer ones are
  // cut at commas, then between words. Those with nothing to say are left out. The text is UTF-8.
  std::vector<std::string> sentences(std::string_view text) const;
  std::u32string phonemes(std::string_view sentence, const Spell& spell) const;
  // phonemes(), cut into pieces that a voice takes at once.
  std::vector<std::u32string> pieces(std::string_view sentence, const Spell& spell) const;

 private:
  English(Normalizer normalizer, WordSplitter splitter, Tagger tagger, Lexicon lexicon, std::vector<Pattern> patterns)
      : normalizer_(std::move(normalizer)), splitter_(std::move(splitter)), tagger_(std::move(tagger)),
        lexicon_(std::move(lexicon)), patterns_(std::move(patterns)) {}
  using Group = std::vector<Token>;  // tokens without a space between
  std::vector<Group> grouped(const std::vector<Token>& tokens) const;
  void read_group(Group& group, Following& next, const Spell& spell) const;
  std::u32string fallback(const std::string& text, const Spell& spell) const;
  bool ends_sentence(std::string_view paragraph, size_t end, std::string_view rest) const;

  Normalizer normalizer_;
  WordSplitter splitter_;
  Tagger tagger_;
  Lexicon lexicon_;
  std::vector<Pattern> patterns_;
};

}  // namespace verge::engine::phonemes
