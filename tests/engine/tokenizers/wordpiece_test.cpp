#include "engine/tokenizers/wordpiece.h"

#include <gtest/gtest.h>

namespace verge::engine {
namespace {

using List = std::vector<std::string>;

class WordPieceTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* text : {"[UNK]", "un", "##aff", "##able", "##a", "a"}) ASSERT_TRUE(vocabulary_.add(text, TokenKind::Normal, 0));
  }
  List encode(std::string_view word, size_t longest = 0) {
    WordPiece model(vocabulary_, {.unknown = 0, .word_prefix = "", .continuing_prefix = "##", .longest_word = longest});
    SymbolScratch scratch;
    std::vector<int32_t> ids;
    model.encode(word, &scratch, &ids);
    List texts;
    for (int32_t id : ids) texts.emplace_back(vocabulary_.text(id));
    return texts;
  }
  Vocabulary vocabulary_;
};

TEST_F(WordPieceTest, TheLongestTokensCoverAWord) { EXPECT_EQ(encode("unaffable"), (List{"un", "##aff", "##able"})); }
TEST_F(WordPieceTest, AWordIsUnknownAsAWhole) { EXPECT_EQ(encode("unx"), (List{"[UNK]"})); }
TEST_F(WordPieceTest, LongWordsAreUnknown) {
  EXPECT_EQ(encode("aaaa", 3), (List{"[UNK]"}));
  EXPECT_EQ(encode("aaa", 3), (List{"a", "##a", "##a"}));
}
TEST_F(WordPieceTest, CharactersAreNotCut) { EXPECT_EQ(encode("a\xC3\xA9"), (List{"[UNK]"})); }

std::string normalize(std::string text, BertNormalizer::Options options = {}) {
  BertNormalizer(options).apply(&text, {});
  return text;
}

TEST(BertNormalizer, CleansAndFolds) {
  EXPECT_EQ(normalize("H\xC3\xA9llo\tW\x01orld\r\n"), "hello world  ");
  EXPECT_EQ(normalize("\xE4\xBD\xA0\xE5\xA5\xBD"), " \xE4\xBD\xA0  \xE5\xA5\xBD ");
  EXPECT_EQ(normalize("\xC3\x89", {.strip_accents = false}), "\xC3\xA9");
  EXPECT_EQ(normalize("\xC3\x89", {.strip_accents = false, .lowercase = false}), "\xC3\x89");
  EXPECT_EQ(normalize("a\xFF"
                      "b"),
            "ab");
}

TEST(BertSplitter, PunctuationStandsAlone) {
  Words words;
  words.list = {"don't $5  \xE2\x80\x9Cx\xE2\x80\x9D"};
  BertSplitter().apply(&words);
  EXPECT_EQ(List(words.list.begin(), words.list.end()), (List{"don", "'", "t", "$", "5", "\xE2\x80\x9C", "x", "\xE2\x80\x9D"}));
}

}  // namespace
}  // namespace verge::engine
