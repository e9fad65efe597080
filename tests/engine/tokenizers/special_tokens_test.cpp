#include "engine/tokenizers/special_tokens.h"

#include <gtest/gtest.h>

namespace verge::engine {
namespace {

using Order = SpecialTokens::Order;

// Fragments as "text" and "#id", joined by "|".
std::string cut(const SpecialTokens& tokens, std::string_view text, bool parse_special = true,
                std::vector<TextRange> foreign = {}) {
  std::vector<Fragment> fragments;
  tokens.partition(text, parse_special, foreign, &fragments);
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

TEST(SpecialTokens, ForeignBytesAreNoPartOfASpecialToken) {
  for (Order order : {Order::LongestFirst, Order::LeftmostLongest}) {
    SpecialTokens tokens({token("<end>", 1), token("<end><end>", 2), {.text = "  ", .id = 3}},
                         order);
    EXPECT_EQ(cut(tokens, "a<end>b<end>c", true, {{0, 7}}),
              "a<end>b|#1|c");                                 // the client's, then the template's
    EXPECT_EQ(cut(tokens, "<end>", true, {{0, 4}}), "<end>");  // begun by the client
    EXPECT_EQ(cut(tokens, "<end>", true, {{4, 5}}), "<end>");  // ended by the client
    EXPECT_EQ(cut(tokens, "<end>", true, {{2, 3}}), "<end>");  // around the client's
    EXPECT_EQ(cut(tokens, "<end><end>", true, {{5, 10}}),
              "#1|<end>");  // the longer one would reach into it
    EXPECT_EQ(cut(tokens, "<end><end>", true, {{0, 1}}), "<end>|#1");
    EXPECT_EQ(cut(tokens, "a  b", true, {{0, 4}}), "a|#3|b");  // spaces are matched always
  }
}

TEST(SpecialTokens, WhatBuildsATurnIsGuarded) {
  const std::vector<int32_t> stops = {7};
  EXPECT_TRUE(guards_a_turn("</s>", 1, true, stops));
  EXPECT_TRUE(guards_a_turn("</turn>", 7, false, stops));
  for (std::string_view text : {"<|message|>", "<\uFF5CUser\uFF5C>", "[|user|]"})
    EXPECT_TRUE(guards_a_turn(text, 1, false, stops)) << text;
  for (std::string_view text : {"<think>", "  ", "<||>", "|>"})
    EXPECT_FALSE(guards_a_turn(text, 1, false, stops)) << text;
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
