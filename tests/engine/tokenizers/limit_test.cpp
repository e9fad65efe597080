// Encoding that stops at a limit, and what a text's length tells of its ids.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/tokenizer.h"
#include "support/random.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> vocabularies() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(fs::path(test_data_folder()) / "tokenizers"))
    if (entry.path().extension() == ".gguf") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string text_of(uint64_t seed) {
  static const std::string_view kPieces[] = {"the ", "internationalisation", "    ", "\n\n\n", "12345", "é", "日本語", "🙂", "<|im_end|>", "!!!!!!!!", "\t", "xqzv", std::string_view("\xff\x00", 2)};
  Random random(seed);
  std::string text;
  for (int i = 0; i < 400; ++i) {
    const std::string_view piece = kPieces[random.below(std::size(kPieces))];
    for (uint64_t times = 1 + random.below(random.chance(0.05) ? 60 : 2); times > 0; --times) text += piece;
  }
  return text;
}

class LimitTest : public testing::TestWithParam<fs::path> {};

TEST_P(LimitTest, StopsWithTheSameFirstIds) {
  auto file = open_container(GetParam().string());
  ASSERT_TRUE(file) << file.error().message;
  auto tokenizer = make_tokenizer(**file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::string text = text_of(seed);
    const EncodeOptions whole{.add_special = false};
    const auto all = (*tokenizer)->encode(text, whole);
    for (size_t most : {size_t{0}, size_t{10}, all.size() / 2, all.size()}) {
      EncodeOptions limited = whole;
      limited.most_tokens = most;
      const auto some = (*tokenizer)->encode(text, limited);
      EXPECT_GE(some.size(), std::min(all.size(), most + 1));
      ASSERT_LE(some.size(), all.size());
      EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << "seed " << seed << ", limit " << most;
    }
    EXPECT_LE((*tokenizer)->least_tokens(text), all.size());
  }
}

// Those of language models have a bound; those that fold or leave out text (BERT's) have none.
TEST_P(LimitTest, LengthBoundsTheIdsOfLanguageModels) {
  auto file = open_container(GetParam().string());
  ASSERT_TRUE(file);
  auto tokenizer = make_tokenizer(**file);
  ASSERT_TRUE(tokenizer);
  const std::string name = GetParam().filename().string();
  // BERT's folds words that it does not know; Phi-3's special tokens take any amount of white space along.
  const bool none = name.find("bert") != std::string::npos || name.find("phi") != std::string::npos;
  for (const char* text : {" ", "a", "\x04", "日"}) {
    std::string many;
    while (many.size() < 200'000) many += text;
    const size_t least = (*tokenizer)->least_tokens(many);
    EXPECT_LE(least, (*tokenizer)->encode(many, {.add_special = false}).size()) << text;
    if (*text == ' ') {
      EXPECT_EQ(least == 0, none);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, LimitTest, testing::ValuesIn(vocabularies()), [](const auto& info) {
  std::string name = info.param.stem().string();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

}  // namespace
}  // namespace verge::engine
