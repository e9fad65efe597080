#include "engine/formats/llama2c_vocabulary.h"
#include "tests/paths.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace verge::engine {
namespace {

const std::string kFolder = std::string(verge::test_data_folder()) + "/models/stories260K";

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The same model's GGUF was made from the same vocabulary: the keys must agree.
TEST(Llama2cVocabulary, EqualsTheGgufOfTheSameModel) {
  auto hub = open_container(kFolder);
  auto gguf = open_container(kFolder + "/stories260K-f32.gguf");
  ASSERT_TRUE(hub.ok() && gguf.ok());
  const auto* tokens = (*hub)->array<std::string>("tokenizer.ggml.tokens");
  ASSERT_NE(tokens, nullptr);
  EXPECT_EQ(*tokens, *(*gguf)->array<std::string>("tokenizer.ggml.tokens"));
  EXPECT_EQ(*(*hub)->array<int64_t>("tokenizer.ggml.token_type"), *(*gguf)->array<int64_t>("tokenizer.ggml.token_type"));
  EXPECT_EQ(*(*hub)->array<double>("tokenizer.ggml.scores"), *(*gguf)->array<double>("tokenizer.ggml.scores"));
}

TEST(Llama2cVocabulary, TruncatedOrTooLongIsRefused) {
  const std::string good = bytes_of(kFolder + "/tok512.bin");
  ASSERT_GT(good.size(), 100u);
  ModelFile file;
  EXPECT_TRUE(read_llama2c_vocabulary(good, 512, "tok512.bin", &file).ok());
  for (size_t cut : {size_t{0}, size_t{3}, size_t{4}, size_t{11}, size_t{13}, good.size() / 2, good.size() - 1})
    EXPECT_FALSE(read_llama2c_vocabulary(std::string_view(good).substr(0, cut), 512, "tok512.bin", &file).ok()) << cut;
  EXPECT_FALSE(read_llama2c_vocabulary(good + "x", 512, "tok512.bin", &file).ok());
  EXPECT_FALSE(read_llama2c_vocabulary(good, 513, "tok512.bin", &file).ok());
  std::string negative = good;
  negative[8] = negative[9] = negative[10] = negative[11] = '\xff';
  EXPECT_FALSE(read_llama2c_vocabulary(negative, 512, "tok512.bin", &file).ok());
}

}  // namespace
}  // namespace verge::engine
