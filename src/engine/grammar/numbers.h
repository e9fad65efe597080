// Sets of decimal numbers as texts: bounds, multiples, single values. A set holds every spelling without an exponent of each of
// its numbers (1, 1.0, 1.00), so intersection, union and complement of sets are those of the numbers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/grammar/language.h"

namespace verge::engine::grammar {

// An exact decimal number: -1^negative · whole.fraction, without zeros that say nothing. Zero is never negative.
struct Decimal {
  bool negative = false;
  std::string whole;     // "" = 0
  std::string fraction;  // "" = 0
  bool integer() const { return fraction.empty(); }
  bool operator==(const Decimal&) const = default;
};
// From a number as JSON spells it; nullopt where it would have more than 1,000 digits or is no number.
std::optional<Decimal> parse_decimal(std::string_view text);
int compare(const Decimal& a, const Decimal& b);  // -1, 0, 1
// A natural number that fits; nullopt else.
std::optional<uint32_t> natural(const Decimal& d);

class Numbers {
 public:
  explicit Numbers(Languages& languages);
  Lang all() const { return all_; }            // every number, without exponents
  Lang integers() const { return integers_; }  // those whose fraction is zeros
  Lang free() const { return free_; }          // what a number without any bound may look like: exponents too
  Lang plain_integers() const { return plain_integers_; }  // spelled without a fraction, no -0
  Lang canonical() const { return canonical_; }            // one spelling for each number
  Lang equal(const Decimal& d);
  Lang at_least(const Decimal& d, bool exclusive);
  Lang at_most(const Decimal& d, bool exclusive);
  // Errors by nullopt: a divisor that is no positive number, or has too many digits to count remainders of.
  std::optional<Lang> multiples(const Decimal& d);
  Lang inverse(Lang numbers) { return l_.both(all_, l_.inverse(numbers)); }

 private:
  enum class Order { Above, Below };
  Lang magnitude(const Decimal& d, Order order, bool exclusive);  // |x| against |d|, unsigned texts
  Lang digit(char low, char high) { return l_.chars({{static_cast<char32_t>(low), static_cast<char32_t>(high)}}); }
  Lang ascii(std::string_view text);

  Languages& l_;
  Lang digits_, zeros_, whole_, fraction_, unsigned_, minus_, zero_, all_, integers_, free_, plain_integers_, canonical_;
};

}  // namespace verge::engine::grammar
