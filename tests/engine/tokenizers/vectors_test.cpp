// Every vocabulary of tests/data/tokenizers gives exactly the ids that the model's own tokenizer gives, for
// every text; and what is encoded decodes to the same text, piece by piece too.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/tokenizer.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> texts_of(const std::string& inputs) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  for (size_t at = 0;;) {
    size_t end = inputs.find(separator, at);
    texts.push_back(inputs.substr(at, end == std::string::npos ? end : end - at));
    if (end == std::string::npos) return texts;
    at = end + separator.size();
  }
}

std::vector<fs::path> vocabularies() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(fs::path(verge::test_data_folder()) / "tokenizers")) {
    if (entry.path().extension() == ".gguf" && fs::exists(entry.path().string() + ".inp")) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Vectors : public testing::TestWithParam<fs::path> {
 protected:
  void SetUp() override {
    auto file = open_container(GetParam().string());
    ASSERT_TRUE(file) << file.error().message;
    auto made = make_tokenizer(**file);
    ASSERT_TRUE(made) << made.error().message;
    tokenizer_ = std::move(*made);
    texts_ = texts_of(read(GetParam().string() + ".inp"));
  }
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<std::string> texts_;
};

TEST_P(Vectors, IdsAreExact) {
  std::istringstream lines(read(GetParam().string() + ".out"));
  size_t checked = 0;
  for (const std::string& text : texts_) {
    std::string line;
    if (!std::getline(lines, line)) break;
    std::istringstream numbers(line);
    std::vector<int32_t> want{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer_->encode(text, {.add_special = false, .parse_special = false}), want) << text;
    ++checked;
  }
  EXPECT_GE(checked, 46u);
}

TEST_P(Vectors, DecodesToTheText) {
  if (GetParam().string().find("bert") != std::string::npos) GTEST_SKIP() << "BERT's normaliser is not reversible";
  for (const std::string& text : texts_) {
    auto ids = tokenizer_->encode(text, {.add_special = false, .parse_special = false});
    EXPECT_EQ(tokenizer_->decode(ids), text);
  }
}

TEST_P(Vectors, PiecesJoinToTheDecodedText) {
  for (const std::string& text : texts_) {
    auto ids = tokenizer_->encode(text, {});
    for (bool special : {false, true}) {
      std::string joined;
      for (int32_t id : ids) joined += tokenizer_->piece(id, special);
      std::string decoded = tokenizer_->decode(ids, special);
      EXPECT_TRUE(joined == decoded || joined == " " + decoded) << joined << " | " << decoded;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Vectors, testing::ValuesIn(vocabularies()), [](const auto& info) {
  std::string name = info.param.stem().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace verge::engine
