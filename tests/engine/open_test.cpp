#include "engine/open.h"

#include <gtest/gtest.h>

#include "tests/paths.h"

namespace verge::engine {
namespace {

std::string models(const std::string& name) { return std::string(verge::test_data_folder()) + "/models/" + name; }

TEST(Open, TellsTheKindFromTheFiles) {
  auto backend = make_cpu_backend({1, ""});
  ASSERT_TRUE(backend);
  const auto text = open(models("stories260K/stories260K-f32.gguf"), **backend, {});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->task, "text-generation");
  EXPECT_TRUE(std::holds_alternative<LoadedModel>(text->model));
  for (const auto& [name, task] : {std::pair{"tiny-embedder", "text-embeddings"}, {"tiny-embedder-gguf/tiny.gguf", "text-embeddings"}, {"tiny-classifier", "text-classification"}}) {
    const auto encoder = open(models(name), **backend, {});
    ASSERT_TRUE(encoder) << encoder.error().message;
    EXPECT_EQ(encoder->task, task);
    EXPECT_TRUE(std::holds_alternative<LoadedEncoder>(encoder->model)) << name;
  }
  // A Whisper folder without its vocabulary: the speech loader is the one that says so.
  const auto speech = open(std::string(verge::test_data_folder()) + "/speech/small", **backend, {});
  ASSERT_FALSE(speech);
  EXPECT_NE(speech.error().message.find("vocabulary"), std::string::npos) << speech.error().message;
}

TEST(Open, AnotherKindIsRefusedByItsTask) {
  auto backend = make_cpu_backend({1, ""});
  ASSERT_TRUE(backend);
  const auto wrong = open_as<std::unique_ptr<ImageModel>>(models("tiny-embedder"), **backend, {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::LoadFailed);
  EXPECT_NE(wrong.error().message.find("text-embeddings"), std::string::npos) << wrong.error().message;
  EXPECT_FALSE(open(models("absent"), **backend, {}));
}

}  // namespace
}  // namespace verge::engine
