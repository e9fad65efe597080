#include "engine/phonemes/normalize.h"

#include <algorithm>
#include <charconv>

#include "engine/phonemes/letters.h"
#include "engine/phonemes/numbers.h"

namespace verge::engine::phonemes {
namespace {

enum Rule {
  kSpace, kTime, kIsoDate, kUsDate, kBigMoney, kCents, kCurrency, kDegrees, kUnit, kMonthDay,
  kDayMonth, kTitle, kAbbreviation, kNumberSign, kHash, kRomanCardinal, kRomanOrdinal, kPhone,
  kFraction, kRange, kPlus, kSpaceBeforePunctuation, kRules
};

using Match = Pattern::Match;

int number(std::string_view digits) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() && end == digits.data() + digits.size() ? value : -1;
}

std::string alternatives(std::vector<std::string> words) {
  std::ranges::stable_sort(words, [](const auto& a, const auto& b) {
    return characters(a).size() > characters(b).size();
  });
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : "|") + escaped(word);
  return out;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

std::string whole(const Match& m) { return std::string(m[0]); }

bool is_one(std::string_view number) {
  std::string plain(number);
  std::erase(plain, ',');
  return plain == "1" || plain == "1.0" || plain == "-1";
}

int roman(std::string_view numeral) {
  const auto value = [](char c) {
    switch (c) {
      case 'I': return 1;
      case 'V': return 5;
      case 'X': return 10;
      case 'L': return 50;
      case 'C': return 100;
      case 'D': return 500;
      case 'M': return 1000;
      default: return 0;
    }
  };
  int total = 0;
  for (size_t i = 0; i < numeral.size(); ++i) {
    const int v = value(numeral[i]);
    total += i + 1 < numeral.size() && value(numeral[i + 1]) > v ? -v : v;
  }
  return total;
}

std::string clock_time(const Match& m) {
  const int hour = number(m[1]), minute = number(m[2]), second = m.has(3) ? number(m[3]) : 0;
  if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 59) return whole(m);
  std::string out = cardinal(hour);
  if (minute == 0) out += m.has(4) || m.has(3) ? "" : " o'clock";
  else out += (minute < 10 ? " oh " : " ") + cardinal(minute);
  if (m.has(3)) out += " and " + cardinal(second) + (second == 1 ? " second" : " seconds");
  if (m.has(4)) {  // with a point between, so that the letters are spelled
    const bool stopped = m.subject.substr(m.end()).starts_with('.');
    out += " " + upper(m[4]) + ".M" + (stopped ? "" : ".");
  }
  return out;
}

std::string big_word(std::string_view word) {
  if (word == "k" || word == "K") return "thousand";
  if (word == "m" || word == "M") return "million";
  if (word == "b" || word == "B") return "billion";
  return std::string(word);
}

}  // namespace

const std::vector<std::string>* Normalizer::find(const Table& table, std::string_view key) {
  for (const auto& [name, words] : table)
    if (name == key) return &words;
  return nullptr;
}

Result<Normalizer> Normalizer::make(const json::object& tables) {
  Normalizer out;
  const auto read = [&](const char* name, size_t words, Table* to) -> Result<> {
    const json::object* table = get_object(tables, name);
    if (!table) return fail(Code::LoadFailed, "front_end.json: no table '{}'", name);
    for (const auto& [key, value] : *table) {
      std::vector<std::string> list;
      if (value.is_string()) list.emplace_back(value.get_string());
      if (const json::array* array = value.if_array())
        for (const json::value& word : *array)
          if (word.is_string()) list.emplace_back(word.get_string());
      if (list.size() < words) return fail(Code::LoadFailed, "front_end.json: the table '{}'", name);
      to->emplace_back(key, std::move(list));
    }
    return {};
  };
  VERGE_TRY(read("months", 1, &out.months_));
  VERGE_TRY(read("titles", 1, &out.titles_));
  VERGE_TRY(read("abbreviations", 1, &out.abbreviations_));
  VERGE_TRY(read("units", 2, &out.units_));
  VERGE_TRY(read("symbols", 1, &out.symbols_));
  VERGE_TRY(read("currency", 2, &out.currency_));
  if (out.months_.size() != 12) return fail(Code::LoadFailed, "front_end.json: the table 'months'");
  const auto keys = [](const Table& table) {
    std::vector<std::string> names;
    for (const auto& [name, words] : table) names.push_back(name);
    return names;
  };
  const auto list = [&](const char* name) {
    std::vector<std::string> words;
    if (const json::array* array = get_array(tables, name))
      for (const json::value& word : *array)
        if (word.is_string()) words.emplace_back(word.get_string());
    return words;
  };
  std::vector<std::string> month_names{"Sept"};
  for (const auto& [short_name, name] : out.months_) {
    month_names.push_back(name[0]);
    month_names.push_back(capitalized(short_name));
  }
  const std::string months = alternatives(std::move(month_names));
  const std::string digits = R"(\d+(?:,\d{3})*(?:\.\d+)?)";
  const std::string roman_numeral =
      "((?=[IVXLC])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))";
  const std::string scale = R"(hundred|thousand|million|billion|trillion|[kKmMbB]\b)";
  std::string expressions[kRules];
  expressions[kSpace] = R"(\s+)";
  expressions[kTime] = R"(\b(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([AaPp])\.?[Mm]\.?(?![A-Za-z]))?(?!\d))";
  expressions[kIsoDate] = R"(\b(\d{4})-(\d{2})-(\d{2})\b)";
  expressions[kUsDate] = R"(\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b)";
  expressions[kBigMoney] = "([$£€])(" + digits + R"()\s?()" + scale + ")";
  expressions[kCents] = R"((?<![\w.])()" + digits + R"()\s?¢)";
  expressions[kCurrency] = R"((?<![\w])([¥₹₩]|Rs\.?|USD|EUR|GBP)\s?()" + digits + R"()(?:\s?()" + scale + "))?";
  expressions[kDegrees] = R"((?<![\w.])(-?)" + digits + R"()\s?°\s?([CF])?(?![\w]))";
  expressions[kUnit] = R"((?<![\w.])(-?)" + digits + R"()\s?()" + alternatives(keys(out.units_)) + R"()(?![\w]))";
  expressions[kMonthDay] = R"(\b()" + months + R"()\.? (\d{1,2})(?:st|nd|rd|th)?\b(?![\d:%])(,? \d{4}\b)?)";
  expressions[kDayMonth] = R"(\b(the )?(\d{1,2}) (?:of )?()" + months + R"()\b\.?)";
  expressions[kTitle] = R"(\b()" + alternatives(keys(out.titles_)) + R"()\.? (?=[A-Z]))";
  expressions[kAbbreviation] = R"((?<![\w.])()" + alternatives(keys(out.abbreviations_)) + R"()(?![\w]))";
  expressions[kNumberSign] = R"(\b(No|Nos)\. ?(?=\d))";
  expressions[kHash] = R"((?<![\w&])#(?=\d))";
  expressions[kRomanCardinal] = R"(\b()" + alternatives(list("roman_cardinal")) + ") " + roman_numeral + R"(\b(?![.'’]\w))";
  expressions[kRomanOrdinal] = R"(\b()" + alternatives(list("roman_ordinal")) + ") " + roman_numeral + R"(\b(?![.'’]\w))";
  expressions[kPhone] = R"((?<![\w.\-])(?:\d{3}-)?\d{3}-\d{4}(?![\w.\-]))";
  expressions[kFraction] = R"((?<![\w./])(\d{1,2})/(\d{1,2})(?![\w./]))";
  expressions[kRange] = R"((?<![\w.\-])(\d{1,4})\s?[-–]\s?(\d{1,4})(?![\w.\-%]))";
  expressions[kPlus] = R"((?<![\w+])\+(?=\d))";
  expressions[kSpaceBeforePunctuation] = " +([,.;:!?])";
  for (const std::string& expression : expressions) {
    VERGE_ASSIGN(pattern, Pattern::compile(expression));
    out.patterns_.push_back(std::move(pattern));
  }
  for (const auto& [symbol, words] : out.symbols_) {
    const bool between = symbol.size() == 1 && std::string_view("=<>~").find(symbol[0]) != std::string_view::npos;
    VERGE_ASSIGN(pattern, Pattern::compile(between ? R"((?<=\S) ?)" + escaped(symbol) + R"( ?(?=\S))"
                                                   : escaped(symbol)));
    const std::string& word = words[0];
    out.symbol_patterns_.emplace_back(std::move(pattern), word.empty() ? " " : " " + word + " ");
  }
  return out;
}

bool Normalizer::is_title(std::string_view word) const { return find(titles_, word) != nullptr; }

std::string Normalizer::month(std::string_view name) const {
  const auto* words = find(months_, lower(name).substr(0, 3));
  return words ? (*words)[0] : std::string(name);
}

std::string Normalizer::date(std::string_view year, int month, std::string_view day) const {
  const int d = number(day);
  if (month < 1 || month > 12 || d < 1 || d > 31) return {};
  return months_[static_cast<size_t>(month - 1)].second[0] + " " + ordinal(day) +
         (year.empty() ? "" : ", " + std::string(year));
}

std::string Normalizer::amount(std::string_view count, std::string_view big, std::string_view symbol) const {
  const auto* words = find(currency_, symbol);
  if (!words) return std::string(count);
  if (!big.empty()) return std::string(count) + " " + big_word(big) + " " + (*words)[1];
  return std::string(count) + " " + (*words)[is_one(count) ? 0 : 1];
}

std::string Normalizer::run(std::string_view given) const {
  std::string text = patterns_[kSpace].replaced(given, " ");
  if (text.starts_with(' ')) text.erase(0, 1);
  if (text.ends_with(' ')) text.pop_back();
  if (text.empty()) return text;
  replace_all(text, "’", "'");
  replace_all(text, "‒", "-");
  replace_all(text, "―", "—");
  const auto apply = [&](Rule rule, auto&& by) { text = patterns_[rule].replaced(text, by); };
  const auto or_whole = [](std::string made, const Match& m) { return made.empty() ? whole(m) : made; };
  apply(kTime, clock_time);
  apply(kIsoDate, [&](const Match& m) { return or_whole(date(m[1], number(m[2]), m[3]), m); });
  apply(kUsDate, [&](const Match& m) {
    std::string year(m[3]);
    if (year.size() == 2) year.insert(0, number(year) > 30 ? "19" : "20");
    const bool american = number(m[1]) <= 12;
    return or_whole(date(year, number(american ? m[1] : m[2]), american ? m[2] : m[1]), m);
  });
  apply(kBigMoney, [&](const Match& m) { return amount(m[2], m[3], m[1]); });
  apply(kCents, [&](const Match& m) { return amount(m[1], {}, "¢"); });
  apply(kCurrency, [&](const Match& m) {
    std::string_view symbol = m[1];
    if (symbol.ends_with('.')) symbol.remove_suffix(1);
    return amount(m[2], m[3], symbol);
  });
  apply(kDegrees, [&](const Match& m) {
    const std::string scale = m[2] == "C" ? " Celsius" : m[2] == "F" ? " Fahrenheit" : "";
    return std::string(m[1]) + (is_one(m[1]) ? " degree" : " degrees") + scale;
  });
  apply(kUnit, [&](const Match& m) {
    const auto* words = find(units_, m[2]);
    return words ? std::string(m[1]) + " " + (*words)[is_one(m[1]) ? 0 : 1] : whole(m);
  });
  apply(kMonthDay, [&](const Match& m) {
    const int day = number(m[2]);
    if (day < 1 || day > 31) return whole(m);
    return month(m[1]) + " " + ordinal(m[2]) + std::string(m[3]);
  });
  apply(kDayMonth, [&](const Match& m) {
    const int day = number(m[2]);
    if (day < 1 || day > 31) return whole(m);
    return "the " + ordinal(m[2]) + " of " + month(m[3]);
  });
  apply(kTitle, [&](const Match& m) { return (*find(titles_, m[1]))[0] + " "; });
  apply(kAbbreviation, [&](const Match& m) {
    const bool ends = m.end() == m.subject.size() && m[1].ends_with('.');
    return (*find(abbreviations_, m[1]))[0] + (ends ? "." : "");
  });
  apply(kNumberSign, [](const Match& m) { return std::string(m[1] == "No" ? "Number " : "Numbers "); });
  apply(kHash, "number ");
  apply(kRomanCardinal, [](const Match& m) { return std::string(m[1]) + " " + std::to_string(roman(m[2])); });
  apply(kRomanOrdinal, [](const Match& m) {
    return std::string(m[1]) + " the " + ordinal(std::to_string(roman(m[2])));
  });
  apply(kPhone, [](const Match& m) {
    std::string out;
    for (const char c : m[0]) {
      if (c == '-') out += ",";
      else out += (out.empty() ? "" : " ") + std::string(1, c);
    }
    return out;
  });
  apply(kFraction, [&](const Match& m) -> std::string {
    constexpr const char* kParts[] = {"", "", "half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"};
    const int a = number(m[1]), b = number(m[2]);
    if (a > 0 && a < b && b <= 10) {
      if (b == 2) return "one half";
      return std::to_string(a) + " " + kParts[b] + (a == 1 ? "" : "s");
    }
    if (a >= 1 && a <= 12 && b >= 1 && b <= 31) return date({}, a, m[2]);
    return std::to_string(a) + " slash " + std::to_string(b);
  });
  apply(kRange, [](const Match& m) { return std::string(m[1]) + " to " + std::string(m[2]); });
  apply(kPlus, "plus ");
  for (const auto& [pattern, word] : symbol_patterns_) text = pattern.replaced(text, word);
  text = patterns_[kSpace].replaced(text, " ");
  apply(kSpaceBeforePunctuation, [](const Match& m) { return std::string(m[1]); });
  if (text.starts_with(' ')) text.erase(0, 1);
  if (text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace verge::engine::phonemes
