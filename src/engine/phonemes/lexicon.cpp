#include "engine/phonemes/lexicon.h"

#include <algorithm>

#include "engine/phonemes/letters.h"
#include "engine/phonemes/numbers.h"
#include "engine/tokenizers/unicode.h"

namespace verge::engine::phonemes {
namespace {

constexpr std::u32string_view kVowels = U"AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ", kDiphthongs = U"AIOQWYʤʧ";
constexpr std::u32string_view kConsonants = U"bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθ";
constexpr std::u32string_view kFlapping = U"AIOWYiuæɑəɛɪɹʊʌ";  // before a t
constexpr size_t kDigits = 60;  // of a number; longer ones are read digit by digit

enum Rule { kSuffix, kDoubled, kNotLetters, kVersus, kRules };

bool contains(std::u32string_view set, char32_t c) { return set.find(c) != set.npos; }

void replace(std::u32string& text, char32_t from, char32_t to) { std::ranges::replace(text, from, to); }

// A stress mark goes before the vowel that it is of.
std::u32string restressed(const std::u32string& phonemes) {
  std::vector<std::pair<double, char32_t>> places;
  for (size_t i = 0; i < phonemes.size(); ++i) places.emplace_back(static_cast<double>(i), phonemes[i]);
  for (size_t i = 0; i < phonemes.size(); ++i) {
    if (phonemes[i] != kPrimary && phonemes[i] != kSecondary) continue;
    for (size_t j = i; j < phonemes.size(); ++j) {
      if (!is_vowel(phonemes[j])) continue;
      places[i].first = static_cast<double>(j) - 0.5;
      break;
    }
  }
  std::ranges::sort(places);
  std::u32string out;
  for (const auto& [place, c] : places) out += c;
  return out;
}

std::string parent_of(const std::string& tag) {
  if (tag.starts_with("VB")) return "VERB";
  if (tag.starts_with("NN")) return "NOUN";
  if (tag.starts_with("ADV") || tag.starts_with("RB")) return "ADV";
  if (tag.starts_with("ADJ") || tag.starts_with("JJ")) return "ADJ";
  return tag;
}

struct Currency {
  const char *symbol, *unit, *cent;
};
constexpr Currency kCurrencies[] = {{"$", "dollar", "cent"}, {"£", "pound", "pence"}, {"€", "euro", "cent"}};

const Currency* find_currency(std::string_view symbol) {
  for (const Currency& one : kCurrencies)
    if (symbol == one.symbol) return &one;
  return nullptr;
}

const char* symbol_word(std::string_view symbol) {
  if (symbol == "%") return "percent";
  if (symbol == "&") return "and";
  if (symbol == "+") return "plus";
  if (symbol == "@") return "at";
  return nullptr;
}

bool is_ordinal_end(std::string_view text) {
  return text == "st" || text == "nd" || text == "rd" || text == "th";
}

bool is_number(std::string_view word, bool head) {
  if (word.find_first_of("0123456789") == word.npos) return false;
  for (const std::string_view end : {"ing", "'d", "ed", "'s", "st", "nd", "rd", "th", "s"}) {
    if (!word.ends_with(end)) continue;
    word.remove_suffix(end.size());
    break;
  }
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if (!((c >= '0' && c <= '9') || c == ',' || c == '.' || (head && i == 0 && c == '-'))) return false;
  }
  return true;
}

std::u32string with_end_s(std::u32string stem) {
  const char32_t last = stem.back();
  if (contains(U"ptkfθ", last)) return stem + U's';
  if (contains(U"szʃʒʧʤ", last)) return stem + U"ᵻz";
  return stem + U'z';
}

std::u32string with_end_ed(std::u32string stem) {
  const char32_t last = stem.back();
  if (contains(U"pkfθʃsʧ", last)) return stem + U't';
  if (last == U'd') return stem + U"ᵻd";
  if (last != U't') return stem + U'd';
  if (stem.size() < 2) return stem + U"ɪd";
  if (!contains(kFlapping, stem[stem.size() - 2])) return stem + U"ᵻd";
  stem.pop_back();
  return stem + U"ɾᵻd";
}

std::u32string with_end_ing(std::u32string stem) {
  if (stem.size() > 1 && stem.back() == U't' && contains(kFlapping, stem[stem.size() - 2])) {
    stem.pop_back();
    stem += U'ɾ';
  }
  return stem + U"ɪŋ";
}

}  // namespace

bool is_vowel(char32_t c) { return contains(kVowels, c); }
bool is_consonant(char32_t c) { return contains(kConsonants, c); }
bool is_currency(std::string_view symbol) { return find_currency(symbol) != nullptr; }

int weight_of(std::u32string_view phonemes) {
  int sum = 0;
  for (const char32_t c : phonemes) sum += contains(kDiphthongs, c) ? 2 : 1;
  return sum;
}

std::u32string with_stress(std::u32string p, Stress stress) {
  if (!stress) return p;
  const bool primary = contains(p, kPrimary), secondary = contains(p, kSecondary);
  const bool voiced = std::ranges::any_of(p, is_vowel);
  const double s = *stress;
  if (s < -1) {
    std::erase(p, kPrimary);
    std::erase(p, kSecondary);
    return p;
  }
  if (s == -1 || ((s == 0 || s == -0.5) && primary)) {
    std::erase(p, kSecondary);
    replace(p, kPrimary, kSecondary);
    return p;
  }
  if ((s == 0 || s == 0.5 || s == 1) && !primary && !secondary) {
    return voiced ? restressed(std::u32string(1, kSecondary) + p) : p;
  }
  if (s >= 1 && !primary && secondary) {
    replace(p, kSecondary, kPrimary);
    return p;
  }
  if (s > 1 && !primary && !secondary) {
    return voiced ? restressed(std::u32string(1, kPrimary) + p) : p;
  }
  return p;
}

Result<> Lexicon::fill(const json::object& from, const char* name, Dictionary* to) {
  for (const auto& [word, value] : from) {
    if (value.is_string()) {
      to->plain.emplace(word, std::string(value.get_string()));
      continue;
    }
    const json::object* tags = value.if_object();
    if (!tags || !tags->contains("DEFAULT")) {
      return fail(Code::LoadFailed, "front_end.json: a word of the dictionary '{}'", name);
    }
    std::vector<std::pair<std::string, std::string>> list;
    for (const auto& [tag, sound] : *tags) {
      list.emplace_back(tag, sound.is_string() ? std::string(sound.get_string()) : "");
    }
    to->by_tag.emplace(word, std::move(list));
  }
  return {};
}

Result<Lexicon> Lexicon::make(const json::object& gold, const json::object& silver) {
  Lexicon out;
  VERGE_TRY(fill(gold, "gold", &out.gold_));
  VERGE_TRY(fill(silver, "silver", &out.silver_));
  std::string expressions[kRules];
  expressions[kSuffix] = "[a-z']+$";
  expressions[kDoubled] = R"(([bcdgklmnprstvxz])\1ing$|cking$)";
  expressions[kNotLetters] = "[a-z]+";
  expressions[kVersus] = R"(^(?i)vs\.?$)";
  for (const std::string& expression : expressions) {
    VERGE_ASSIGN(pattern, Pattern::compile(expression));
    out.patterns_.push_back(std::move(pattern));
  }
  return out;
}

std::string Lexicon::Dictionary::key(const std::string& word) const {
  if (has(word)) return word;
  if (characters(word).size() < 2) return {};
  const std::string low = lower(word), high = capitalized(low);
  if (word == low) return high != word && has(high) ? high : std::string();
  if (word == high && has(low)) return low;
  return {};
}

Lexicon::Reading Lexicon::gold(std::string_view word) const {
  const std::string key = gold_.key(std::string(word));
  if (const auto found = gold_.plain.find(key); found != gold_.plain.end()) return characters(found->second);
  return std::nullopt;
}

// A word by the names of its letters.
Lexicon::Reading Lexicon::letters(std::string_view word) const {
  std::u32string all;
  for (const char32_t c : characters(word)) {
    if (!is_letter(c)) continue;
    const Reading name = gold(upper(utf8(std::u32string_view(&c, 1))));
    if (!name) return std::nullopt;
    all += *name;
  }
  all = with_stress(std::move(all), 0);
  const size_t last = all.rfind(kSecondary);
  if (last != all.npos) all[last] = kPrimary;
  return all;
}

Lexicon::Reading Lexicon::special(const std::string& word, const std::string& tag, Stress stress,
                                  const Following& next) const {
  if (tag == "ADD" && (word == "." || word == "/")) {
    return lookup(word == "." ? "dot" : "slash", "", -0.5, &next);
  }
  if (const char* name = symbol_word(word)) return lookup(name, "", {}, &next);
  std::string_view inner = word;
  while (inner.starts_with('.')) inner.remove_prefix(1);
  while (inner.ends_with('.')) inner.remove_suffix(1);
  if (inner.find('.') != inner.npos) {
    std::string plain = word;
    std::erase(plain, '.');
    size_t longest = 0;
    for (size_t at = 0; at <= word.size();) {
      const size_t end = std::min(word.find('.', at), word.size());
      longest = std::max(longest, characters(std::string_view(word).substr(at, end - at)).size());
      at = end + 1;
    }
    if (all_letters(plain) && longest < 3) return letters(word);
  }
  if (word == "a" || word == "A") return tag == "DT" ? U"ɐ" : U"ˈA";
  if (word == "am" || word == "Am" || word == "AM") {
    if (tag.starts_with("NN")) return letters(word);
    if (!next.vowel || word != "am" || (stress && *stress > 0)) return gold("am");
    return U"ɐm";
  }
  if (word == "an" || word == "An" || word == "AN") {
    return word == "AN" && tag.starts_with("NN") ? letters(word) : Reading(U"ɐn");
  }
  if (word == "I" && tag == "PRP") return U"ˌI";
  if ((word == "by" || word == "By" || word == "BY") && parent_of(tag) == "ADV") return U"bˈI";
  if (word == "to" || word == "To" || (word == "TO" && (tag == "TO" || tag == "IN"))) {
    if (!next.vowel) return gold("to");
    return *next.vowel ? U"tʊ" : U"tə";
  }
  if (word == "in" || word == "In" || (word == "IN" && tag != "NNP")) {
    return !next.vowel || tag != "IN" ? U"ˈɪn" : U"ɪn";
  }
  if (word == "the" || word == "The" || (word == "THE" && tag == "DT")) {
    return next.vowel && *next.vowel ? U"ði" : U"ðə";
  }
  if (tag == "IN" && patterns_[kVersus].matches(word)) return lookup("versus", "", {}, &next);
  if (word == "used" || word == "Used" || word == "USED") {
    const bool habit = (tag == "VBD" || tag == "JJ") && next.to;
    return lookup("used", habit ? "VBD" : "DEFAULT", {}, nullptr);
  }
  return std::nullopt;
}

bool Lexicon::known(const std::string& word) const {
  if (gold_.knows(word) || symbol_word(word) || silver_.knows(word)) return true;
  const bool plain = !word.empty() && std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  if (!plain) return false;
  if (word.size() == 1) return true;
  if (word == upper(word) && gold_.knows(lower(word))) return true;
  return word.substr(1) == upper(word.substr(1));
}

Lexicon::Reading Lexicon::lookup(std::string word, const std::string& tag, Stress stress,
                                 const Following* next) const {
  std::optional<bool> name;
  if (word == upper(word) && !gold_.knows(word)) {
    word = lower(word);
    name = tag == "NNP";
  }
  const Dictionary* dictionary = &gold_;
  std::string key = gold_.key(word);
  if (key.empty() && !name.value_or(false)) {
    dictionary = &silver_;
    key = silver_.key(word);
  }
  Reading out;
  if (const auto plain = dictionary->plain.find(key); plain != dictionary->plain.end()) {
    out = characters(plain->second);
  } else if (const auto tagged = dictionary->by_tag.find(key); tagged != dictionary->by_tag.end()) {
    const auto of = [&](std::string_view wanted) -> const std::string* {
      for (const auto& [one, sound] : tagged->second)
        if (one == wanted) return &sound;
      return nullptr;
    };
    const std::string* sound = next && !next->vowel ? of("None") : nullptr;
    if (!sound) sound = of(tag);
    if (!sound) sound = of(parent_of(tag));
    if (!sound) sound = of("DEFAULT");
    if (sound && !sound->empty()) out = characters(*sound);
  }
  if (!out || (name.value_or(false) && !contains(*out, kPrimary))) {
    out = letters(word);
    if (out) return out;
  }
  if (!out) return std::nullopt;
  return with_stress(std::move(*out), stress);
}

Lexicon::Reading Lexicon::with_s(const std::string& word, const std::string& tag, Stress stress, const Following* next) const {
  const size_t n = word.size();
  std::string stem;
  if (n < 3 || !word.ends_with('s')) return std::nullopt;
  if (!word.ends_with("ss") && known(word.substr(0, n - 1))) stem = word.substr(0, n - 1);
  else if ((word.ends_with("'s") || (n > 4 && word.ends_with("es") && !word.ends_with("ies"))) && known(word.substr(0, n - 2))) stem = word.substr(0, n - 2);
  else if (n > 4 && word.ends_with("ies") && known(word.substr(0, n - 3) + "y")) stem = word.substr(0, n - 3) + "y";
  else return std::nullopt;
  Reading out = lookup(stem, tag, stress, next);
  if (!out || out->empty()) return std::nullopt;
  return with_end_s(std::move(*out));
}

Lexicon::Reading Lexicon::with_ed(const std::string& word, const std::string& tag, Stress stress, const Following* next) const {
  const size_t n = word.size();
  std::string stem;
  if (n < 4 || !word.ends_with('d')) return std::nullopt;
  if (!word.ends_with("dd") && known(word.substr(0, n - 1))) stem = word.substr(0, n - 1);
  else if (n > 4 && word.ends_with("ed") && !word.ends_with("eed") && known(word.substr(0, n - 2))) stem = word.substr(0, n - 2);
  else return std::nullopt;
  Reading out = lookup(stem, tag, stress, next);
  if (!out || out->empty()) return std::nullopt;
  return with_end_ed(std::move(*out));
}

Lexicon::Reading Lexicon::with_ing(const std::string& word, const std::string& tag, Stress stress, const Following* next) const {
  const size_t n = word.size();
  std::string stem;
  if (n < 5 || !word.ends_with("ing")) return std::nullopt;
  if (n > 5 && known(word.substr(0, n - 3))) stem = word.substr(0, n - 3);
  else if (known(word.substr(0, n - 3) + "e")) stem = word.substr(0, n - 3) + "e";
  else if (n > 5 && patterns_[kDoubled].matches(word) && known(word.substr(0, n - 4))) stem = word.substr(0, n - 4);
  else return std::nullopt;
  Reading out = lookup(stem, tag, stress, next);
  if (!out || out->empty()) return std::nullopt;
  return with_end_ing(std::move(*out));
}

Lexicon::Reading Lexicon::word(std::string text, const std::string& tag, Stress stress, const Following& next) const {
  if (Reading out = special(text, tag, stress, next)) return out;
  const std::string low = lower(text), high = upper(text);
  const std::u32string all = characters(text);
  std::string plain = text;
  std::erase(plain, '\'');
  const std::string tail = utf8(std::u32string_view(all).substr(std::min<size_t>(1, all.size())));
  if (all.size() > 1 && all_letters(plain) && text != low && (tag != "NNP" || all.size() > 7) &&
      !gold_.knows(text) && !silver_.knows(text) && (text == high || tail == lower(tail)) &&
      (gold_.knows(low) || silver_.knows(low) || with_s(low, tag, stress, &next) ||
       with_ed(low, tag, stress, &next) || with_ing(low, tag, stress, &next))) {
    text = low;
  }
  if (known(text)) return lookup(text, tag, stress, &next);
  const size_t n = text.size();
  if (text.ends_with("s'") && known(text.substr(0, n - 2) + "'s")) {
    return lookup(text.substr(0, n - 2) + "'s", tag, stress, &next);
  }
  if (text.ends_with('\'') && known(text.substr(0, n - 1))) {
    return lookup(text.substr(0, n - 1), tag, stress, &next);
  }
  if (Reading out = with_s(text, tag, stress, &next)) return out;
  if (Reading out = with_ed(text, tag, stress, &next)) return out;
  return with_ing(text, tag, stress ? stress : Stress(0.5), &next);
}

std::optional<std::u32string> Lexicon::number(std::string word, std::string_view currency, bool head) const {
  std::string suffix;
  if (const auto m = patterns_[kSuffix].find(word)) {
    suffix = (*m)[0];
    word.resize(m->begin());
  }
  std::vector<std::u32string> said;
  const auto say = [&](const std::string& text, Stress stress = {}) {
    if (Reading reading = lookup(text, "", stress, nullptr)) said.push_back(std::move(*reading));
  };
  const auto say_words = [&](const std::string& words) {
    patterns_[kNotLetters].each(words, [&](const Pattern::Match& m) {
      if (m[0] == "and") return;
      say(std::string(m[0]), m[0] == "point" ? Stress(-2) : Stress());
    });
  };
  const auto say_digits = [&](std::string_view digits) {
    for (const char c : digits) say_words(cardinal(c - '0'));
  };
  bool negative = false;
  if (word.starts_with('-')) {
    say("minus");
    negative = true;
    word.erase(0, 1);
  }
  std::string plain = word;
  std::erase(plain, ',');
  const size_t points = static_cast<size_t>(std::ranges::count(word, '.'));
  const Currency* money = find_currency(currency);
  if (plain.find_first_of("0123456789") == plain.npos ||
      plain.find_first_not_of("0123456789.") != plain.npos) {
    return std::nullopt;
  }
  if (plain.size() > kDigits) {
    std::erase(plain, '.');
    say_digits(plain);
  } else if (all_ascii_digits(word) && is_ordinal_end(suffix)) {
    say_words(ordinal(word));
  } else if (!negative && word.size() == 4 && !money && all_ascii_digits(word)) {
    say_words(year(std::stoi(word)));
  } else if (!head && points == 0) {
    if (plain[0] == '0' || plain.size() > 3) {
      say_digits(plain);
    } else if (plain.size() == 3 && !plain.ends_with("00")) {
      say_words(cardinal(plain.substr(0, 1)));
      if (plain[1] == '0') {
        say("O", -2);
        say_words(cardinal(plain.substr(2)));
      } else {
        say_words(cardinal(plain.substr(1)));
      }
    } else {
      say_words(cardinal(plain));
    }
  } else if (points > 1 || !head) {
    for (size_t at = 0; at <= plain.size();) {
      const size_t end = std::min(plain.find('.', at), plain.size());
      const std::string part = plain.substr(at, end - at);
      at = end + 1;
      if (part.empty()) continue;
      const bool round = part.find_first_not_of('0', 1) == part.npos;
      if (part[0] == '0' || (part.size() != 2 && !round)) say_digits(part);
      else say_words(cardinal(part));
    }
  } else if (money && (points == 0 || plain.size() - plain.find('.') - 1 < 3)) {
    const size_t point = std::min(plain.find('.'), plain.size());
    const std::string whole = plain.substr(0, point);
    const std::string cents = point < plain.size() ? plain.substr(point + 1) : "";
    const auto zero = [](const std::string& digits) { return digits.find_first_not_of('0') == digits.npos; };
    const auto say_amount = [&](const std::string& amount, const char* unit) {
      say_words(cardinal(amount.empty() ? "0" : amount));
      const std::string one = amount.substr(std::min(amount.find_first_not_of('0'), amount.size()));
      if (one == "1" || std::string_view(unit) == "pence") return say(unit);
      if (Reading several = with_s(std::string(unit) + "s", "", {}, nullptr)) said.push_back(std::move(*several));
    };
    const bool with_cents = point < plain.size() && !zero(cents);
    const bool with_whole = !with_cents || !zero(whole);
    if (with_whole) say_amount(whole, money->unit);
    if (with_whole && with_cents) say("and");
    if (with_cents) say_amount(cents, money->cent);
  } else if (points == 0) {
    say_words(is_ordinal_end(suffix) ? ordinal(plain) : cardinal(plain));
  } else if (plain[0] == '.') {
    say("point", -2);
    say_digits(plain.substr(1));
  } else {
    say_words(decimal(plain));
  }
  if (said.empty()) return std::nullopt;
  std::u32string out;
  for (const std::u32string& part : said) out += (out.empty() ? U"" : U" ") + part;
  if (suffix == "s" || suffix == "'s") return with_end_s(std::move(out));
  if (suffix == "ed" || suffix == "'d") return with_end_ed(std::move(out));
  if (suffix == "ing") return with_end_ing(std::move(out));
  return out;
}

std::optional<std::u32string> Lexicon::read(const Token& token, const Following& next) const {
  std::string text = token.alias.value_or(token.text);
  for (const std::string_view quote : {"‘", "’"}) {
    for (size_t at = 0; (at = text.find(quote, at)) != text.npos; ++at) text.replace(at, quote.size(), "'");
  }
  text = normalize_unicode(text, NormalForm::KC);
  const Stress stress = text == lower(text) ? Stress() : Stress(text == upper(text) ? 2 : 0.5);
  if (Reading out = word(text, token.tag, stress, next)) {
    if (token.currency) {
      if (const Currency* money = find_currency(*token.currency)) {
        if (const Reading unit = with_s(std::string(money->unit) + "s", "", {}, nullptr)) *out += U" " + *unit;
      }
    }
    return out;
  }
  if (is_number(text, token.head)) return number(text, token.currency.value_or(""), token.head);
  return std::nullopt;
}

}  // namespace verge::engine::phonemes
