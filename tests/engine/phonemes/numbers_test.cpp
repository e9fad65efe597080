#include "engine/phonemes/numbers.h"

#include <gtest/gtest.h>

namespace verge::engine::phonemes {
namespace {

TEST(Numbers, Cardinals) {
  EXPECT_EQ(cardinal("0"), "zero");
  EXPECT_EQ(cardinal("21"), "twenty-one");
  EXPECT_EQ(cardinal("105"), "one hundred and five");
  EXPECT_EQ(cardinal("1001"), "one thousand and one");
  EXPECT_EQ(cardinal("1234"), "one thousand, two hundred and thirty-four");
  EXPECT_EQ(cardinal("007"), "seven");
  EXPECT_EQ(cardinal("1000000"), "one million");
}

TEST(Numbers, PastAllNamesTheDigitsAreRead) {
  EXPECT_EQ(cardinal(std::string(36, '1')).substr(0, 35), "one hundred and eleven decillion, o");
  EXPECT_EQ(cardinal(std::string(37, '1')).substr(0, 11), "one one one");
}

TEST(Numbers, Ordinals) {
  EXPECT_EQ(ordinal("1"), "first");
  EXPECT_EQ(ordinal("23"), "twenty-third");
  EXPECT_EQ(ordinal("20"), "twentieth");
  EXPECT_EQ(ordinal("112"), "one hundred and twelfth");
}

TEST(Numbers, YearsAndDecimals) {
  EXPECT_EQ(year(1905), "nineteen oh-five");
  EXPECT_EQ(year(2005), "two thousand and five");
  EXPECT_EQ(year(2010), "twenty ten");
  EXPECT_EQ(year(1900), "nineteen hundred");
  EXPECT_EQ(decimal("3.14"), "three point one four");
  EXPECT_EQ(decimal("2.50"), "two point five");
}

}  // namespace
}  // namespace verge::engine::phonemes
