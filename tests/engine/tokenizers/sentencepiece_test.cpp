#include "engine/tokenizers/sentencepiece.h"

#include <gtest/gtest.h>

#include "engine/tokenizers/unicode.h"
#include "engine/tokenizers/unigram.h"

namespace verge::engine {
namespace {

using List = std::vector<std::string>;
struct Piece {
  std::string text;
  double score;
  TokenKind kind = TokenKind::Normal;
};

Vocabulary make(const std::vector<Piece>& pieces) {
  Vocabulary vocabulary;
  for (const Piece& piece : pieces) EXPECT_TRUE(vocabulary.add(piece.text, piece.kind, piece.score));
  return vocabulary;
}

List encode(const WordModel& model, const Vocabulary& vocabulary, std::string_view word) {
  SymbolScratch scratch;
  std::vector<int32_t> ids;
  model.encode(word, &scratch, &ids);
  List texts;
  for (int32_t id : ids) texts.emplace_back(vocabulary.text(id));
  return texts;
}

TEST(SentencePieceBpe, TheBestScoreMergesFirst) {
  Vocabulary v = make({{"<unk>", 0, TokenKind::Unknown}, {"a", -9}, {"b", -9}, {"c", -9}, {"ab", -2}, {"bc", -1}});
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "abc"), (List{"a", "bc"}));
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "abab"), (List{"ab", "ab"}));
}

TEST(SentencePieceBpe, ControlAndByteTokensAreNotSpelt) {
  Vocabulary v = make({{"<unk>", 0, TokenKind::Unknown}, {"<", -3}, {"s", -3}, {">", -3}, {"<s", -1}, {"<s>", 0, TokenKind::Control}});
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "<s>"), (List{"<s", ">"}));
}

TEST(SentencePieceBpe, AnUnusedTokenComesApartAgain) {
  Vocabulary v = make({{"<unk>", 0, TokenKind::Unknown}, {"a", -9}, {"b", -9}, {"ab", -1, TokenKind::Unused}, {"abb", -2}});
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "ab"), (List{"a", "b"}));
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "abb"), (List{"abb"}));
}

TEST(SentencePieceBpe, BytesOrTheUnknownForWhatIsMissing) {
  Vocabulary v = make({{"<unk>", 0, TokenKind::Unknown}, {"a", -1}, {"<0xC3>", 0, TokenKind::Byte}, {"<0xA9>", 0, TokenKind::Byte}});
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "a\xC3\xA9"), (List{"a", "<0xC3>", "<0xA9>"}));
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "zy"), (List{"<unk>"}));  // one for neighbours
  EXPECT_EQ(encode(SentencePieceBpe(v, 0), v, "a\xC3"), (List{"a", "<0xC3>"}));
}

TEST(SpaceSymbols, SpacePrefixAtTheStartAndAfterSpecialTokens) {
  SpaceSymbolNormalizer normalizer(true, false);
  std::string text = "a b";
  normalizer.apply(&text, {.first = true, .after_special = true});
  EXPECT_EQ(text,
            "\xE2\x96\x81"
            "a\xE2\x96\x81"
            "b");
  text = "a";
  normalizer.apply(&text, {.first = false, .after_special = false});
  EXPECT_EQ(text, "a");
}

TEST(SpaceSymbols, WordsAreCutOnlyWhereNoTokenReachesAcross) {
  const std::string s(kSpaceSymbol);
  Vocabulary v = make({{"a", 0}, {s, 0}, {"b" + s, 0}});
  Words words;
  const std::string text = s + "a" + s + s + "b" + s + "a";
  words.list = {text};
  SpaceSymbolSplitter(v).apply(&words);
  EXPECT_EQ(List(words.list.begin(), words.list.end()), (List{s + "a", s + s + "b" + s + "a"}));
}

TEST(Unigram, TheGreatestSumWins) {
  Vocabulary v = make({{"<unk>", 0, TokenKind::Unknown}, {"a", -1}, {"b", -1}, {"ab", -3}, {"ba", -0.5}});
  Unigram model(v, {.unknown = 0});
  EXPECT_EQ(encode(model, v, "ab"), (List{"a", "b"}));
  EXPECT_EQ(encode(model, v, "aba"), (List{"a", "ba"}));
  EXPECT_EQ(encode(model, v, "xya"), (List{"<unk>", "a"}));
  EXPECT_EQ(encode(model, v, ""), (List{}));
}

TEST(Unigram, UserDefinedTokensWin) {
  Vocabulary v = make({{"<unk>", 0, TokenKind::Unknown}, {"a", -0.001}, {"aa", -0, TokenKind::UserDefined}});
  EXPECT_EQ(encode(Unigram(v, {.unknown = 0}), v, "aa"), (List{"aa"}));
}

TEST(CharsMap, DamageIsFoundOrHarmless) {
  EXPECT_FALSE(CharsMap::parse("abc"));
  EXPECT_FALSE(
      CharsMap::parse(std::string("\xFF\xFF\xFF\x7F"
                                  "abcd",
                                  8)));
  EXPECT_FALSE(CharsMap::parse(std::string("\x02\0\0\0ab", 6)));
  std::string blob("\x08\0\0\0", 4);
  blob += "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFxyz";
  auto map = CharsMap::parse(blob);
  ASSERT_TRUE(map);
  for (int byte = 1; byte < 256; ++byte) EXPECT_LE(map->longest(std::string(4, static_cast<char>(byte))).length, 4u);
}

}  // namespace
}  // namespace verge::engine
