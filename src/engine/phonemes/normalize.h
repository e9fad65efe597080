// Writing to words, before a text is cut into tokens: times, dates, units, abbreviations, sums of
// money, fractions, ranges, telephone numbers, roman numerals, symbols. Plain numbers are the
// lexicon's. The rules are those of the package hibari-tts (Apache-2.0); its tables come in a file.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/phonemes/pattern.h"
#include "support/json.h"

namespace verge::engine::phonemes {

class Normalizer {
 public:
  // `tables`: months, titles, abbreviations, units, symbols, currency, roman_cardinal,
  // roman_ordinal. Errors: LoadFailed naming the table.
  static Result<Normalizer> make(const json::object& tables);

  // One sentence; runs of white space become one space.
  std::string run(std::string_view text) const;
  bool is_title(std::string_view word) const;  // "Dr", which a period does not end a sentence after

 private:
  using Table = std::vector<std::pair<std::string, std::vector<std::string>>>;
  Normalizer() = default;
  static const std::vector<std::string>* find(const Table& table, std::string_view key);
  std::string month(std::string_view name) const;
  std::string date(std::string_view year, int month, std::string_view day) const;
  std::string amount(std::string_view number, std::string_view big, std::string_view symbol) const;

  Table months_, titles_, abbreviations_, units_, symbols_, currency_;
  std::vector<std::pair<Pattern, std::string>> symbol_patterns_;
  std::vector<Pattern> patterns_;  // by Rule
};

}  // namespace verge::engine::phonemes
