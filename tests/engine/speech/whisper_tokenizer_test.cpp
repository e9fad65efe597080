#include "engine/speech/whisper_tokenizer.h"

#include "tests/engine/speech/tiny_vocabulary.h"

namespace verge::engine {
namespace {

TEST(WhisperTokenizer, MergesByRankAndGoesBack) {
  const WhisperTokenizer t = tiny_tokenizer();
  EXPECT_EQ(t.encode("hello world"), (std::vector<int32_t>{259, 264}));
  EXPECT_EQ(t.encode("hellx"), (std::vector<int32_t>{258, 'x'}));
  for (const std::string text : {"", "hello world", " a  b\n\tc", "Grüße, 世界 🎉", "<|endoftext|> is text"}) EXPECT_EQ(t.decode(t.encode(text)), text);
  const std::string endless(100'000, 'h');
  EXPECT_EQ(t.decode(t.encode(endless)), endless);
}

TEST(WhisperTokenizer, KnowsItsControlTokens) {
  const WhisperTokenizer t = tiny_tokenizer();
  EXPECT_EQ(t.end, 265);
  EXPECT_EQ(t.language("de"), 269);
  EXPECT_EQ(t.language("fr"), -1);
  EXPECT_EQ(t.first_timestamp, 276);
  EXPECT_EQ(t.decode(std::vector<int32_t>{t.start, 259, t.first_timestamp + 3, t.end}), "hello");
}

TEST(WhisperTokenizer, WordsAreCutAtSpacesAndWholeCharacters) {
  const WhisperTokenizer t = tiny_tokenizer();
  std::vector<std::string> texts;
  for (const auto& word : t.split_words(t.encode("hello world, Grü世"), "en")) texts.push_back(word.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"hello", " world", ",", " Grü世"}));
  const auto characters = t.split_words(t.encode("世界"), "zh");
  ASSERT_EQ(characters.size(), 2u);
  EXPECT_EQ(characters[0].text, "世");
  EXPECT_EQ(characters[0].tokens.size(), 3u);
}

TEST(WhisperTokenizer, AVocabularyThatLacksWhatItNeedsIsRefused) {
  for (const char* name : {"<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>", "<|startofprev|>", "<|transcribe|>"}) {
    auto tokens = tiny_tokens();
    for (auto& token : tokens) {
      if (token == name) token = "x";
    }
    const auto count = static_cast<int64_t>(tokens.size());
    auto made = WhisperTokenizer::make(tiny_file(std::move(tokens)), count);
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code, Code::LoadFailed);
  }
  EXPECT_FALSE(WhisperTokenizer::make(ModelFile{}, 100));
  EXPECT_FALSE(WhisperTokenizer::make(tiny_file(tiny_tokens()), 100));
}

}  // namespace
}  // namespace verge::engine
