#include "engine/tokenizers/pretokenize.h"

#include <gtest/gtest.h>

namespace verge::engine {
namespace {

std::vector<std::string> split(std::string_view name, std::string_view text) {
  const PreTokenizer* pre = find_pre_tokenizer(name);
  EXPECT_NE(pre, nullptr) << name;
  auto splitter = make_splitter(*pre);
  EXPECT_TRUE(splitter) << splitter.error().message;
  Words words;
  words.list = {text};
  (*splitter)->apply(&words);
  return {words.list.begin(), words.list.end()};
}
using List = std::vector<std::string>;

TEST(PreTokenize, EveryNamedRuleKeepsEveryByte) {
  const std::string text =
      "Hello  World's 12345 \xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82 na\xC3\xAFve\r\n\n\t ++ \xF0\x9F\x98\x80 CamelCase \xC2\xBD\xFF\xC3( end ";
  for (std::string_view name :
       {"",         "default",    "llama3",     "llama-bpe",  "jais-2",    "minicpm5",  "deepseek-llm", "deepseek-coder", "deepseek-v3",
        "spark2_5", "youtu",      "falcon",     "starcoder",  "command-r", "smollm",    "gpt-2",        "qwen2",          "qwen35",
        "ufakzeka", "laguna",     "poro-chat",  "viking",     "tekken",    "chameleon", "gpt-4o",       "tiny_aya",       "kimi-k2",
        "superbpe", "bailingmoe", "seed-coder", "exaone-moe", "afmoe",     "gemma4",    "glm4"}) {
    std::string joined;
    for (const std::string& word : split(name, text)) joined += word;
    EXPECT_EQ(joined, text) << name;
  }
}

TEST(PreTokenize, Gpt2) {
  EXPECT_EQ(split("gpt-2", "Hello world  it's 2024!\n\n x"), (List{"Hello", " world", " ", " it", "'s", " 2024", "!", "\n\n", " x"}));
}

TEST(PreTokenize, Llama3GroupsDigitsFromTheLeftInThrees) {
  EXPECT_EQ(split("llama3", "12345 I'LL go\n\nnow"), (List{"123", "45", " I", "'LL", " go", "\n\n", "now"}));
}

TEST(PreTokenize, Qwen2TakesDigitsSingly) { EXPECT_EQ(split("qwen2", "a 12"), (List{"a", " ", "1", "2"})); }

TEST(PreTokenize, SmolLmTakesAnyUnicodeNumberSingly) { EXPECT_EQ(split("smollm", "4 \xC2\xBD"), (List{"4", " ", "\xC2\xBD"})); }

TEST(PreTokenize, Gpt4oCutsWhereCaseChanges) {
  EXPECT_EQ(split("gpt-4o", "CamelCase HTTPServer don't"), (List{"Camel", "Case", " HTTPServer", " don't"}));
  EXPECT_EQ(split("gpt-4o", "\xD0\xBF\xD1\x80\xD0\x9F"), (List{"\xD0\xBF\xD1\x80", "\xD0\x9F"}));  // Cyrillic has case too
}

TEST(PreTokenize, DigitGroupsComeFromTheRight) {
  EXPECT_EQ(split("superbpe", "a1234567b"), (List{"a", "1", "234", "567", "b"}));
  EXPECT_EQ(split("superbpe", "123456"), (List{"123", "456"}));
  EXPECT_EQ(split("tiny_aya", "1234567 1234th 1234_"), (List{"1", "234", "567", " ", "123", "4", "th", " ", "123", "4", "_"}));
}

TEST(PreTokenize, KimiKeepsHanApart) {
  EXPECT_EQ(split("kimi-k2",
                  "ab\xE4\xBD\xA0\xE5\xA5\xBD"
                  "cd"),
            (List{"ab", "\xE4\xBD\xA0\xE5\xA5\xBD", "cd"}));
}

TEST(PreTokenize, BytesThatAreNoTextAreWordsOfTheirOwn) {
  EXPECT_EQ(split("gpt-2",
                  "ab\xFF\xFE"
                  "cd"),
            (List{"ab", "\xFF\xFE", "cd"}));
}

TEST(PreTokenize, MongolianVowelSeparatorIsNoSpace) { EXPECT_EQ(split("gpt-2", "\xE1\xA0\x8E x"), (List{"\xE1\xA0\x8E", " x"})); }

TEST(PreTokenize, ManyOfTheSameAreNoTrouble) {
  for (std::string_view name : {"llama3", "gpt-4o", "exaone-moe", "superbpe", "kimi-k2", "deepseek-llm"}) {
    for (std::string_view unit : {" ", "a", "A", "1", "\n", "!", "a ", "\xCC\x81"}) {
      std::string text;
      while (text.size() < 300'000) text += unit;
      size_t bytes = 0;
      for (const std::string& word : split(name, text)) bytes += word.size();
      EXPECT_EQ(bytes, text.size()) << name << " " << unit;
    }
  }
}

TEST(PreTokenize, AnUnknownNameIsToldApart) { EXPECT_EQ(find_pre_tokenizer("no-such-rule"), nullptr); }

TEST(Regex, FaultsNameThePattern) {
  EXPECT_NE(Regex::compile("(a").error().message.find("(a"), std::string::npos);
  EXPECT_FALSE(Regex::compile("[a&&b]", true));
  EXPECT_FALSE(Regex::compile("[a[b]]", true));
  EXPECT_FALSE(Regex::compile("\xFF"));
  EXPECT_FALSE(Regex::compile(std::string(1 << 20, 'a')));
}

TEST(Regex, ACatastrophicPatternEnds) {
  auto regex = Regex::compile("(a+a+)+b|(\\w+\\s?)+$x");
  ASSERT_TRUE(regex);
  std::string subject(50'000, 'a');
  Regex::Matches matches(*regex, subject);
  size_t begin = 0, end = 0;
  EXPECT_FALSE(matches.next(&begin, &end));
}

}  // namespace
}  // namespace verge::engine
