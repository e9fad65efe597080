#include "engine/tokenizers/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/tokenizers/unicode.h"

namespace verge::engine {
namespace {

struct Model {
  Vocabulary vocabulary;
  std::unique_ptr<Bpe> bpe;
};

std::unique_ptr<Model> make(std::vector<std::string> tokens, const std::vector<std::string>& merges, BpeOptions options) {
  auto model = std::make_unique<Model>();
  for (const std::string& token : tokens) EXPECT_TRUE(model->vocabulary.add(token, TokenKind::Normal, 0));
  auto bpe = Bpe::make(model->vocabulary, merges, std::move(options));
  EXPECT_TRUE(bpe) << bpe.error().message;
  if (bpe) model->bpe = std::move(*bpe);
  return model;
}

std::vector<std::string> encode(const Model& model, std::string_view word) {
  SymbolScratch scratch;
  std::vector<int32_t> ids;
  model.bpe->encode(word, &scratch, &ids);
  std::vector<std::string> texts;
  for (int32_t id : ids) texts.emplace_back(model.vocabulary.text(id));
  return texts;
}
using List = std::vector<std::string>;

TEST(Bpe, TheLowestRankMergesFirst) {
  auto model = make({"a", "b", "c", "ab", "bc", "abc"}, {"b c", "a b", "a bc"}, {});
  EXPECT_EQ(encode(*model, "abc"), (List{"abc"}));
  EXPECT_EQ(encode(*model, "abab"), (List{"ab", "ab"}));
}

TEST(Bpe, OfEqualRanksTheLeftmostMerges) {
  auto model = make({"a", "aa"}, {"a a"}, {});
  EXPECT_EQ(encode(*model, "aaa"), (List{"aa", "a"}));
}

TEST(Bpe, SpacesAreTheAlphabetsG) {
  auto model = make({"\xC4\xA0", "x", "\xC4\xA0x"}, {"\xC4\xA0 x"}, {});
  EXPECT_EQ(encode(*model, " x"), (List{"\xC4\xA0x"}));
}

TEST(Bpe, IgnoreMergesTakesAWholeWord) {
  auto model = make({"a", "b", "ab"}, {}, {.ignore_merges = true});
  EXPECT_EQ(encode(*model, "ab"), (List{"ab"}));
  EXPECT_EQ(encode(*model, "aba"), (List{"a", "b", "a"}));
}

TEST(Bpe, TextNeverSpellsAControlToken) {
  Vocabulary vocabulary;
  ASSERT_TRUE(vocabulary.add("a", TokenKind::Normal, 0));
  ASSERT_TRUE(vocabulary.add("aa", TokenKind::Control, 0));
  auto bpe = Bpe::make(vocabulary, std::vector<std::string>{}, {.ignore_merges = true});
  ASSERT_TRUE(bpe);
  SymbolScratch scratch;
  std::vector<int32_t> ids;
  (*bpe)->encode("aa", &scratch, &ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{0, 0}));
}

TEST(Bpe, MissingCharactersFallBackToBytesOrTheUnknown) {
  List tokens{"<unk>", "a"};
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(fmt::format("<0x{:02X}>", byte));
  auto model = make(tokens, {}, {.byte_level = false, .byte_fallback = true, .unknown = 0});
  EXPECT_EQ(encode(*model, "a\xC3\xA9"), (List{"a", "<0xC3>", "<0xA9>"}));
  EXPECT_EQ(encode(*model, "\xFF"), (List{"<0xFF>"}));
  auto unknown = make({"<unk>", "a"}, {}, {.byte_level = false, .unknown = 0});
  EXPECT_EQ(encode(*unknown, "a\xC3\xA9\xC3\xA9"), (List{"a", "<unk>", "<unk>"}));
  auto fused = make({"<unk>", "a"}, {}, {.byte_level = false, .unknown = 0, .fuse_unknown = true});
  EXPECT_EQ(encode(*fused, "a\xC3\xA9\xC3\xA9"), (List{"a", "<unk>"}));
}

TEST(Bpe, WordEndsAndContinuations) {
  auto clip = make({"a", "b", "b</w>", "ab</w>"}, {"a b</w>"}, {.byte_level = false, .word_suffix = "</w>"});
  EXPECT_EQ(encode(*clip, "ab"), (List{"ab</w>"}));
  auto prefix = make({"a", "##b", "ab", "##a"}, {"a ##b"}, {.byte_level = false, .continuing_prefix = "##"});
  EXPECT_EQ(encode(*prefix, "aba"), (List{"ab", "##a"}));
}

TEST(Bpe, AMergeOfUnknownTokensIsRefused) {
  Vocabulary vocabulary;
  ASSERT_TRUE(vocabulary.add("a", TokenKind::Normal, 0));
  for (const std::pair<std::string_view, std::string_view> merge :
       {std::pair("a", "b"), std::pair("a", "a"), std::pair("a", "")}) {
    auto bpe = Bpe::make(vocabulary, std::vector{merge}, {});
    ASSERT_FALSE(bpe) << merge.second;
    EXPECT_EQ(bpe.error().code, Code::LoadFailed);
  }
}

// GGUF files are read as llama.cpp reads them: the other merges keep their ranks.
TEST(Bpe, AMergeOfAGgufThatFindsNoTokenIsSkipped) {
  Vocabulary vocabulary;
  for (const char* text : {"a", "b", "c", "ab", "bc"})
    ASSERT_TRUE(vocabulary.add(text, TokenKind::Normal, 0));
  for (const char* broken : {"a zzz", "zzz a", "c c", "a", "", " ", "a  "}) {
    auto bpe = Bpe::make(vocabulary, std::vector<std::string>{broken, "b c", "a b"},
                         {.byte_level = false});
    ASSERT_TRUE(bpe.ok()) << broken;
    SymbolScratch scratch;
    std::vector<int32_t> ids;
    (*bpe)->encode("abc", &scratch, &ids);
    EXPECT_EQ(ids, (std::vector<int32_t>{0, 4})) << broken;
  }
}

// Short words scan, long words use a heap: both must do what the rule says, here in its plainest form.
TEST(Bpe, LongAndShortWordsFollowTheSameRule) {
  std::mt19937 random(7);
  List tokens{"a", "b", "c"};
  List merges;
  for (int i = 0; i < 60; ++i) {
    const std::string left = tokens[random() % tokens.size()], right = tokens[random() % tokens.size()];
    if (left.size() + right.size() > 12 || std::find(tokens.begin(), tokens.end(), left + right) != tokens.end()) continue;
    merges.push_back(left + " " + right);
    tokens.push_back(left + right);
  }
  auto model = make(tokens, merges, {});
  for (size_t length : {1, 5, 31, 32, 33, 60, 400}) {
    for (int round = 0; round < 20; ++round) {
      std::string word;
      for (size_t i = 0; i < length; ++i) word += static_cast<char>('a' + random() % 3);
      List plain;
      for (char c : word) plain.emplace_back(1, c);
      for (;;) {
        size_t best_rank = merges.size(), best = 0;
        for (size_t i = 0; i + 1 < plain.size(); ++i) {
          size_t rank = static_cast<size_t>(std::find(merges.begin(), merges.end(), plain[i] + " " + plain[i + 1]) - merges.begin());
          if (rank < best_rank) best_rank = rank, best = i;
        }
        if (best_rank == merges.size()) break;
        plain[best] += plain[best + 1];
        plain.erase(plain.begin() + static_cast<ptrdiff_t>(best) + 1);
      }
      EXPECT_EQ(encode(*model, word), plain) << word;
    }
  }
}

}  // namespace
}  // namespace verge::engine
