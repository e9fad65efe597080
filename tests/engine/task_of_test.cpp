// What a model is for, told from its files.
#include "engine/task_of.h"

#include <gtest/gtest.h>

#include "tests/engine/formats/temporary_folder.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

using testing::TemporaryFolder;

std::string of_config(const std::string& config) {
  const TemporaryFolder folder;
  folder.write("config.json", config);
  auto task = task_of(folder.root());
  return task ? *task : task.error().message;
}

TEST(TaskOf, ConfigurationsOfTheHub) {
  EXPECT_EQ(of_config(R"({"architectures":["LlamaForCausalLM"],"model_type":"llama"})"), "text-generation");
  EXPECT_EQ(of_config(R"({"architectures":["BertModel"],"model_type":"bert"})"), "text-embeddings");
  EXPECT_EQ(of_config(R"({"architectures":["XLMRobertaForSequenceClassification"],"model_type":"xlm-roberta"})"), "text-classification");
  EXPECT_EQ(of_config(R"({"architectures":["ResNetForImageClassification"],"model_type":"resnet"})"), "image-classification");
  EXPECT_EQ(of_config(R"({"architectures":["DetrForObjectDetection"],"model_type":"detr"})"), "object-detection");
  EXPECT_EQ(of_config(R"({"architectures":["WhisperForConditionalGeneration"],"model_type":"whisper"})"), "automatic-speech-recognition");
  EXPECT_EQ(of_config("{}"), "text-generation") << "whose loader says what is wrong";
  EXPECT_NE(of_config("[1").find("config.json"), std::string::npos);
}

TEST(TaskOf, SentenceTransformersMakeADecoderAnEmbedder) {
  const TemporaryFolder folder;
  folder.write("config.json", R"({"architectures":["Qwen3ForCausalLM"],"model_type":"qwen3"})");
  EXPECT_EQ(*task_of(folder.root()), "text-generation");
  folder.write("modules.json", "[]");
  EXPECT_EQ(*task_of(folder.root()), "text-embeddings");
}

TEST(TaskOf, DecodersThatEmbed) {
  EXPECT_EQ(of_config(R"({"architectures":["Qwen3Model"],"model_type":"qwen3"})"), "text-embeddings") << "no output matrix";
  EXPECT_EQ(of_config(R"({"architectures":["Gemma3TextModel"],"model_type":"gemma3_text"})"), "text-embeddings");
  EXPECT_EQ(of_config(R"({"architectures":["Gemma3ForCausalLM"],"model_type":"gemma3_text"})"), "text-generation");
  for (const char* name : {"qwen3-embedder-gguf/tiny.gguf", "gemma-embedder-gguf/tiny.gguf"})
    EXPECT_EQ(*task_of(std::string(verge::test_data_folder()) + "/models/tiny-" + name), "text-embeddings") << name;
}

TEST(TaskOf, OtherFormats) {
  const TemporaryFolder folder;
  folder.write("a.bin", "lmgg....");
  EXPECT_EQ(*task_of(folder.path("a.bin")), "automatic-speech-recognition");
  folder.write("model.bin", "x");
  folder.write("vocabulary.txt", "x");
  EXPECT_EQ(*task_of(folder.root()), "automatic-speech-recognition");
  EXPECT_EQ(*task_of(std::string(verge::test_data_folder()) + "/models/tiny-embedder-gguf/tiny.gguf"), "text-embeddings");
  EXPECT_EQ(*task_of(std::string(verge::test_data_folder()) + "/models/stories260K/stories260K-f32.gguf"), "text-generation");
  EXPECT_FALSE(task_of(folder.path("absent")));
}

}  // namespace
}  // namespace verge::engine
