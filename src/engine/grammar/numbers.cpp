#include "engine/grammar/numbers.h"

#include <algorithm>
#include <charconv>

#include "engine/grammar/bounds.h"

namespace verge::engine::grammar {

std::optional<Decimal> parse_decimal(std::string_view text) {
  constexpr int64_t kMost = 1000;
  Decimal d;
  size_t i = 0;
  if (i < text.size() && text[i] == '-') d.negative = true, ++i;
  std::string digits;
  int64_t point = 0;
  bool seen = false;
  for (; i < text.size() && (std::isdigit(static_cast<unsigned char>(text[i])) || text[i] == '.'); ++i) {
    if (text[i] == '.') {
      if (seen) return std::nullopt;
      seen = true;
      point = static_cast<int64_t>(digits.size());
    } else {
      digits += text[i];
    }
  }
  if (!seen) point = static_cast<int64_t>(digits.size());
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') return std::nullopt;
    ++i;
    if (i < text.size() && text[i] == '+') ++i;
    int64_t exponent = 0;
    const auto [end, ec] = std::from_chars(text.data() + i, text.data() + text.size(), exponent);
    if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (exponent > kMost || exponent < -kMost) return std::nullopt;
    point += exponent;
  }
  if (digits.empty() || digits.size() > static_cast<size_t>(kMost)) return std::nullopt;
  if (point <= 0) digits.insert(0, static_cast<size_t>(-point), '0'), point = 0;
  if (point > static_cast<int64_t>(digits.size())) digits.append(static_cast<size_t>(point) - digits.size(), '0');
  d.whole = digits.substr(0, static_cast<size_t>(point));
  d.fraction = digits.substr(static_cast<size_t>(point));
  d.whole.erase(0, std::min(d.whole.find_first_not_of('0'), d.whole.size()));
  d.fraction.erase(d.fraction.find_last_not_of('0') + 1);
  if (d.whole.empty() && d.fraction.empty()) d.negative = false;
  return d;
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int order = 0;
  if (a.whole.size() != b.whole.size()) order = a.whole.size() < b.whole.size() ? -1 : 1;
  else if (const int w = a.whole.compare(b.whole); w != 0) order = w < 0 ? -1 : 1;
  else if (const int f = a.fraction.compare(b.fraction); f != 0) order = f < 0 ? -1 : 1;
  return a.negative ? -order : order;
}

std::optional<uint32_t> natural(const Decimal& d) {
  if (d.negative || !d.integer()) return std::nullopt;
  if (d.whole.size() > 9) return kUnbounded - 1;
  uint32_t out = 0;
  for (char c : d.whole) out = out * 10 + static_cast<uint32_t>(c - '0');
  return out;
}

Lang Numbers::ascii(std::string_view text) { return l_.text(std::u32string(text.begin(), text.end())); }

Numbers::Numbers(Languages& languages) : l_(languages) {
  const Lang digit_any = digit('0', '9'), point = ascii(".");
  digits_ = l_.repeat(digit_any, 0, kUnbounded);
  zeros_ = l_.repeat(digit('0', '0'), 0, kUnbounded);
  const auto optional = [&](Lang a) { return l_.either(Languages::kEmpty, a); };
  minus_ = optional(ascii("-"));
  whole_ = l_.either(digit('0', '0'), l_.concat(digit('1', '9'), l_.repeat(digit_any, 0, bounds::kDigits - 1)));
  fraction_ = optional(l_.concat(point, l_.repeat(digit_any, 1, bounds::kDigits)));
  unsigned_ = l_.concat(whole_, fraction_);
  zero_ = l_.concat(digit('0', '0'), optional(l_.concat(point, l_.repeat(digit('0', '0'), 1, kUnbounded))));
  all_ = l_.concat(minus_, unsigned_);
  integers_ = l_.concat(minus_, l_.concat(whole_, optional(l_.concat(point, l_.repeat(digit('0', '0'), 1, bounds::kDigits)))));
  const Lang exponent = l_.concat(l_.chars({{U'E', U'E'}, {U'e', U'e'}}),
                                  l_.concat(optional(l_.chars({{U'+', U'+'}, {U'-', U'-'}})), l_.repeat(digit_any, 1, 3)));
  free_ = l_.concat(all_, optional(exponent));
  const Lang natural = l_.concat(digit('1', '9'), l_.repeat(digit_any, 0, bounds::kDigits - 1));
  plain_integers_ = l_.either(digit('0', '0'), l_.concat(minus_, natural));
  const Lang short_fraction = l_.concat(point, l_.concat(l_.repeat(digit_any, 0, bounds::kDigits - 1), digit('1', '9')));
  canonical_ = l_.either(plain_integers_, l_.concat(minus_, l_.concat(whole_, short_fraction)));
}

Lang Numbers::equal(const Decimal& d) {
  const Lang point = ascii(".");
  if (d.whole.empty() && d.fraction.empty()) return l_.concat(minus_, zero_);
  const Lang tail = d.fraction.empty() ? l_.either(Languages::kEmpty, l_.concat(point, l_.repeat(digit('0', '0'), 1, kUnbounded)))
                                       : l_.concat(ascii("." + d.fraction), zeros_);
  return l_.concat(ascii((d.negative ? "-" : "") + (d.whole.empty() ? "0" : d.whole)), tail);
}

Lang Numbers::magnitude(const Decimal& d, Order order, bool exclusive) {
  const bool above = order == Order::Above;
  const std::string whole = d.whole.empty() ? "0" : d.whole;
  const Lang point = ascii("."), digit_any = digit('0', '9'), some = l_.repeat(digit_any, 1, kUnbounded);
  const Lang any_fraction = l_.either(Languages::kEmpty, l_.concat(point, some));
  const uint32_t length = static_cast<uint32_t>(whole.size());
  std::vector<Lang> parts;
  if (above) parts.push_back(l_.concat(digit('1', '9'), l_.concat(l_.repeat(digit_any, length, kUnbounded), any_fraction)));
  else if (length > 1)
    parts.push_back(l_.concat(l_.either(digit('0', '0'), l_.concat(digit('1', '9'), l_.repeat(digit_any, 0, length - 2))), any_fraction));
  // The same number of digits; the first that differs decides.
  for (uint32_t i = 0; i < length; ++i) {
    const char low = above ? static_cast<char>(whole[i] + 1) : (i == 0 && length > 1 ? '1' : '0');
    const char high = above ? '9' : static_cast<char>(whole[i] - 1);
    if (low > high) continue;
    parts.push_back(l_.concat(ascii(whole.substr(0, i)),
                              l_.concat(digit(low, high), l_.concat(l_.repeat(digit_any, length - i - 1, length - i - 1), any_fraction))));
  }
  // The same whole part: the fraction decides.
  std::vector<Lang> fractions;
  const std::string& f = d.fraction;
  for (size_t i = 0; i < f.size(); ++i) {
    const char low = above ? static_cast<char>(f[i] + 1) : '0', high = above ? '9' : static_cast<char>(f[i] - 1);
    if (low <= high) fractions.push_back(l_.concat(ascii("." + f.substr(0, i)), l_.concat(digit(low, high), digits_)));
    if (!above) fractions.push_back(i == 0 ? Languages::kEmpty : ascii("." + f.substr(0, i)));  // ends before
  }
  const Lang same = f.empty() ? l_.either(Languages::kEmpty, l_.concat(point, l_.repeat(digit('0', '0'), 1, kUnbounded)))
                              : l_.concat(ascii("." + f), zeros_);
  if (!exclusive) fractions.push_back(same);
  if (above)
    fractions.push_back(l_.concat(ascii("." + f), l_.concat(zeros_, l_.concat(digit('1', '9'), digits_))));
  parts.push_back(l_.concat(ascii(whole), l_.either(std::move(fractions))));
  return l_.either(std::move(parts));
}

Lang Numbers::at_least(const Decimal& d, bool exclusive) {
  const Lang minus = ascii("-"), zero = l_.concat(minus, zero_);
  if (d.negative) return l_.either(unsigned_, l_.concat(minus, magnitude(d, Order::Below, exclusive)));
  const bool with_zero = d.whole.empty() && d.fraction.empty() && !exclusive;
  return l_.either(magnitude(d, Order::Above, exclusive), with_zero ? zero : Languages::kNone);
}

Lang Numbers::at_most(const Decimal& d, bool exclusive) {
  const Lang minus = ascii("-");
  const bool zero = d.whole.empty() && d.fraction.empty();
  if (d.negative) return l_.concat(minus, magnitude(d, Order::Above, exclusive));
  const Lang below = zero && exclusive ? Languages::kNone : magnitude(d, Order::Below, exclusive);
  Lang negative = l_.concat(minus, unsigned_);
  if (zero && exclusive) negative = l_.both(negative, l_.inverse(l_.concat(minus, zero_)));
  return l_.either(below, negative);
}

std::optional<Lang> Numbers::multiples(const Decimal& d) {
  if (d.negative || (d.whole.empty() && d.fraction.empty())) return std::nullopt;
  std::string digits = d.whole + d.fraction;
  digits.erase(0, digits.find_first_not_of('0'));
  if (digits.size() > 9 || d.fraction.size() > 60) return std::nullopt;
  uint32_t value = 0;
  for (char c : digits) value = value * 10 + static_cast<uint32_t>(c - '0');
  uint32_t scale = static_cast<uint32_t>(d.fraction.size());
  if (value > 2'000) return std::nullopt;  // one state for each remainder
  if (value == 1 && scale == 0) return integers_;
  return l_.multiples(value, scale);
}

}  // namespace verge::engine::grammar
