#include "engine/phonemes/numbers.h"

#include <array>
#include <vector>

namespace verge::engine::phonemes {
namespace {

constexpr std::array<const char*, 20> kOnes = {
    "zero",    "one",     "two",       "three",    "four",     "five",    "six",
    "seven",   "eight",   "nine",      "ten",      "eleven",   "twelve",  "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array<const char*, 10> kTens = {"",      "",      "twenty",  "thirty", "forty",
                                               "fifty", "sixty", "seventy", "eighty", "ninety"};
constexpr std::array<const char*, 12> kScales = {
    "",            "thousand",   "million",    "billion",   "trillion",  "quadrillion",
    "quintillion", "sextillion", "septillion", "octillion", "nonillion", "decillion"};

std::string below_1000(int n) {
  std::string out;
  if (n >= 100) {
    out = std::string(kOnes[static_cast<size_t>(n / 100)]) + " hundred";
    n %= 100;
    if (n == 0) return out;
    out += " and ";
  }
  if (n < 20) return out + kOnes[static_cast<size_t>(n)];
  out += kTens[static_cast<size_t>(n / 10)];
  if (n % 10) out += std::string("-") + kOnes[static_cast<size_t>(n % 10)];
  return out;
}

std::string ordinal_word(const std::string& word) {
  constexpr std::array<std::array<const char*, 2>, 7> kIrregular = {{{"one", "first"},
                                                                     {"two", "second"},
                                                                     {"three", "third"},
                                                                     {"five", "fifth"},
                                                                     {"eight", "eighth"},
                                                                     {"nine", "ninth"},
                                                                     {"twelve", "twelfth"}}};
  for (const auto& [from, to] : kIrregular)
    if (word == from) return to;
  if (word.ends_with('y')) return word.substr(0, word.size() - 1) + "ieth";
  return word + "th";
}

}  // namespace

std::string cardinal(std::string_view digits) {
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  if (digits.empty()) return kOnes[0];
  if (digits.size() > 3 * kScales.size()) {  // past all names: digit by digit
    std::string out;
    for (const char c : digits) out += (out.empty() ? "" : " ") + std::string(kOnes[static_cast<size_t>(c - '0')]);
    return out;
  }
  std::vector<std::string> groups;  // of thousands, the highest first
  std::string last;                 // of them, without its scale
  const size_t count = (digits.size() + 2) / 3;
  for (size_t i = 0; i < count; ++i) {
    const size_t length = i == 0 ? digits.size() - 3 * (count - 1) : 3;
    int value = 0;
    for (const char c : digits.substr(0, length)) value = value * 10 + (c - '0');
    digits.remove_prefix(length);
    if (value == 0) continue;
    const size_t scale = count - 1 - i;
    last = below_1000(value) + (scale ? std::string(" ") + kScales[scale] : "");
    groups.push_back(last);
  }
  if (groups.empty()) return kOnes[0];
  const size_t word = last.rfind(" and ");
  const std::string tail = word == last.npos ? last : last.substr(word + 5);
  const bool small = tail.find(' ') == tail.npos && last.find("hundred") == last.npos;
  std::string out = groups[0];
  for (size_t i = 1; i < groups.size(); ++i) {
    out += (i + 1 == groups.size() && small ? " and " : ", ") + groups[i];
  }
  return out;
}

std::string cardinal(int value) { return cardinal(std::to_string(value)); }

std::string ordinal(std::string_view digits) {
  const std::string words = cardinal(digits);
  const size_t space = words.rfind(' ');
  const size_t start = space == words.npos ? 0 : space + 1;
  const std::string last = words.substr(start);
  const size_t dash = last.rfind('-');
  if (dash == last.npos) return words.substr(0, start) + ordinal_word(last);
  return words.substr(0, start) + last.substr(0, dash + 1) + ordinal_word(last.substr(dash + 1));
}

std::string year(int value) {
  const int high = value / 100, low = value % 100;
  if (high == 0 || (high % 10 == 0 && low < 10) || high >= 100) return cardinal(value);
  const std::string tail = low == 0 ? "hundred" : (low < 10 ? "oh-" : "") + cardinal(low);
  return cardinal(high) + " " + tail;
}

std::string decimal(std::string_view number) {
  const size_t point = number.find('.');
  std::string_view fraction = point == number.npos ? "" : number.substr(point + 1);
  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  std::string out = cardinal(number.substr(0, point));
  if (fraction.empty()) return out;
  out += " point";
  for (const char c : fraction) out += std::string(" ") + kOnes[static_cast<size_t>(c - '0')];
  return out;
}

}  // namespace verge::engine::phonemes
