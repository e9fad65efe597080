// Words to phonemes: misaki's dictionaries of American English, endings, stress, numbers, letters
// by name. A port of misaki's rules (Apache-2.0), with which the voices were trained.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/phonemes/pattern.h"
#include "support/json.h"

namespace verge::engine::phonemes {

inline constexpr char32_t kPrimary = U'ˈ', kSecondary = U'ˌ';
bool is_vowel(char32_t c);
bool is_consonant(char32_t c);

// More or less stress: -2 none, -1 and -0.5 less, 0 to 1 secondary, 2 primary; none: as it is.
using Stress = std::optional<double>;
std::u32string with_stress(std::u32string phonemes, Stress stress);
int weight_of(std::u32string_view phonemes);  // diphthongs count twice

// What follows a word.
struct Following {
  std::optional<bool> vowel;  // none: nothing is said before the next pause
  bool to = false;            // the word "to"
};

struct Token {
  std::string text, tag;
  bool space = false;  // white space follows
  std::optional<std::u32string> phonemes;
  std::optional<std::string> alias, currency;
  bool head = true, before = false;  // begins a word; a space is said before it
};

class Lexicon {
 public:
  // Errors: LoadFailed naming the dictionary.
  static Result<Lexicon> make(const json::object& gold, const json::object& silver);

  // None where no rule reads it.
  std::optional<std::u32string> read(const Token& token, const Following& next) const;
  std::optional<std::u32string> number(std::string word, std::string_view currency, bool head) const;

 private:
  using Reading = std::optional<std::u32string>;
  struct Dictionary {
    std::unordered_map<std::string, std::string> plain;
    // By part of speech; empty: it has no sound of its own there.
    std::unordered_map<std::string, std::vector<std::pair<std::string, std::string>>> by_tag;
    bool has(const std::string& word) const { return plain.contains(word) || by_tag.contains(word); }
    // The word, or its form with another first letter, which a dictionary need not list.
    std::string key(const std::string& word) const;
    bool knows(const std::string& word) const { return !key(word).empty(); }
  };
  Lexicon() = default;
  static Result<> fill(const json::object& from, const char* name, Dictionary* to);
  Reading gold(std::string_view word) const;
  bool known(const std::string& word) const;
  Reading lookup(std::string word, const std::string& tag, Stress stress, const Following* next) const;
  Reading letters(std::string_view word) const;
  Reading special(const std::string& word, const std::string& tag, Stress stress, const Following& next) const;
  Reading word(std::string text, const std::string& tag, Stress stress, const Following& next) const;
  Reading with_s(const std::string& word, const std::string& tag, Stress stress, const Following* next) const;
  Reading with_ed(const std::string& word, const std::string& tag, Stress stress, const Following* next) const;
  Reading with_ing(const std::string& word, const std::string& tag, Stress stress, const Following* next) const;

  Dictionary gold_, silver_;
  std::vector<Pattern> patterns_;
};

// "$" and others that are read behind the number.
bool is_currency(std::string_view symbol);

}  // namespace verge::engine::phonemes
