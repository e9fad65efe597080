#include "engine/tokenizers/special_tokens.h"

#include <gtest/gtest.h>

namespace verge::engine {
namespace {

using Order = SpecialTokens::Order;

// Fragments as "text" and "#id", joined by "|".
std::string cut(const SpecialTokens& tokens, std::string_view text, bool parse_special = true) {
  std::vector<Fragment> fragments;
  tokens.partition(text, parse_special, &fragments);
  std::string out;
  for (const Fragment& fragment : fragments) {
    if (!out.empty()) out += '|';
    out += fragment.id >= 0 ? "#" + std::to_string(fragment.id) : std::string(fragment.text);
  }
  return out;
}

SpecialToken token(std::string text, int32_t id) { return {.text = std::move(text), .id = id, .special = true}; }

TEST(SpecialTokens, TheLongestOfTheTextComesFirst) {
  SpecialTokens tokens({token("ab", 1), token("bcd", 2)}, Order::LongestFirst);
  EXPECT_EQ(cut(tokens, "xabcdx"), "xa|#2|x");
  EXPECT_EQ(cut(tokens, "abab"), "#1|#1");
}

TEST(SpecialTokens, AShorterOneTakesWhatTheLongerLeft) {
  SpecialTokens tokens({token("  ", 2), token("   ", 3), token("    ", 4)}, Order::LongestFirst);
  EXPECT_EQ(cut(tokens, "a       b"), "a|#4|#3|b");  // 7 spaces
  EXPECT_EQ(cut(tokens, "a b"), "a b");
}

TEST(SpecialTokens, LeftToRight) {
  SpecialTokens tokens({token("ab", 1), token("bcd", 2), token("abc", 3)}, Order::LeftmostLongest);
  EXPECT_EQ(cut(tokens, "xabcdx"), "x|#3|dx");
}

TEST(SpecialTokens, UserDefinedOnesAreMatchedAlways) {
  SpecialToken user{.text = "<user>", .id = 7, .special = false};
  for (Order order : {Order::LongestFirst, Order::LeftmostLongest}) {
    SpecialTokens tokens({token("<|end|>", 1), user}, order);
    EXPECT_EQ(cut(tokens, "a<|end|>b<user>c", false), "a<|end|>b|#7|c");
    EXPECT_EQ(cut(tokens, "a<|end|>b<user>c", true), "a|#1|b|#7|c");
  }
}

TEST(SpecialTokens, WhiteSpaceIsTakenAlong) {
  SpecialToken mask{.text = "<m>", .id = 5, .special = true, .strip_left = true, .strip_right = true};
  for (Order order : {Order::LongestFirst, Order::LeftmostLongest}) {
    SpecialTokens tokens({mask}, order);
    EXPECT_EQ(cut(tokens, "a  <m>\n <m>b"), "a|#5|#5|b");
    EXPECT_EQ(cut(tokens, "<m>"), "#5");
  }
}

TEST(SpecialTokens, SingleWordsStandAlone) {
  SpecialToken word{.text = "cat", .id = 9, .special = false, .single_word = true};
  SpecialTokens tokens({word}, Order::LeftmostLongest);
  EXPECT_EQ(cut(tokens,
                "cat concat cat_ cat, \xC3\xA9"
                "cat"),
            "#9| concat cat_ |#9|, \xC3\xA9"
            "cat");
}

TEST(SpecialTokens, BytesThatAreNoTextStay) {
  SpecialTokens tokens({token("<s>", 1)}, Order::LeftmostLongest);
  EXPECT_EQ(cut(tokens, "\xFF<s>\x80"), "\xFF|#1|\x80");
}

}  // namespace
}  // namespace verge::engine
