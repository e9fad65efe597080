// Files that no load could take are told from their headers.
#include "engine/inspect.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/engine/formats/temporary_folder.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

std::string models() { return std::string(verge::test_data_folder()) + "/models/"; }

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Inspect, OfEveryTask) {
  for (const auto& [name, task] : {std::pair{"stories260K/stories260K-f32.gguf", "text-generation"}, {"stories260K", "text-generation"},
                                   {"tiny-embedder", "text-embeddings"}, {"tiny-embedder-torch", "text-embeddings"},
                                   {"tiny-embedder-gguf", "text-embeddings"}, {"tiny-qwen3-embedder", "text-embeddings"},
                                   {"tiny-qwen3-embedder-gguf", "text-embeddings"}, {"tiny-gemma-embedder", "text-embeddings"},
                                   {"tiny-gemma-embedder-gguf", "text-embeddings"}, {"tiny-classifier", "text-classification"},
                                   {"tiny-reranker", "text-classification"}, {"resnet20-cifar10", "image-classification"}}) {
    std::string path = models() + name;
    if (path.ends_with("-gguf"))
      for (const auto& file : fs::directory_iterator(path))
        if (file.path().extension() == ".gguf") path = file.path().string();
    const auto need = inspect(path, Precision::Native);
    ASSERT_TRUE(need) << name << ": " << need.error().message;
    EXPECT_EQ(need->task, task) << name;
    EXPECT_FALSE(need->architecture.empty()) << name;
    EXPECT_EQ(need->context_tokens > 0, std::string(task).starts_with("text-")) << name;
    ASSERT_EQ(need->memory.size(), 1u) << name;
    EXPECT_EQ(need->memory[0].pool, "host") << name;
    EXPECT_GT(need->memory[0].weights, 1000u) << name;
    EXPECT_EQ(need->memory[0].kv_per_token > 0, std::string(name).starts_with("stories") || std::string(name).starts_with("tiny-qwen3") || std::string(name).starts_with("tiny-gemma"))
        << name;
  }
}

TEST(Inspect, WeightsThatAreMadeWiderTakeMore) {
  const std::string path = models() + "tiny-gemma-embedder-gguf/";
  for (const auto& file : fs::directory_iterator(path)) {
    if (file.path().extension() != ".gguf") continue;
    const auto native = inspect(file.path().string(), Precision::Native), wide = inspect(file.path().string(), Precision::F32);
    ASSERT_TRUE(native && wide);
    EXPECT_GE(wide->memory[0].weights, native->memory[0].weights);
  }
}

TEST(Inspect, DamagedFilesAreNamed) {
  const TemporaryFolder folder;
  const std::string good = bytes_of(models() + "stories260K/stories260K-f32.gguf");
  folder.write("half.gguf", good.substr(0, good.size() / 2));
  folder.write("head.gguf", good.substr(0, 20));
  std::string renamed = good;
  const size_t at = renamed.find("blk.2.attn_q.weight");
  ASSERT_NE(at, std::string::npos);
  renamed[at + 4] = '9';  // a layer that is not there
  folder.write("renamed.gguf", renamed);
  std::string foreign = good;
  for (size_t i = foreign.find("llama"); i != std::string::npos && i < 4096; i = foreign.find("llama", i)) foreign.replace(i, 5, "lxama");
  folder.write("foreign.gguf", foreign);
  folder.write("empty.gguf", "");
  folder.write("noise.gguf", "GGUF" + std::string(4096, '\x5a'));
  folder.write("text.gguf", "these are no weights");
  for (const char* name : {"half.gguf", "head.gguf", "renamed.gguf", "foreign.gguf", "empty.gguf", "noise.gguf", "text.gguf"}) {
    const auto need = inspect(folder.root() + "/" + name, Precision::Native);
    ASSERT_FALSE(need) << name;
    EXPECT_NE(need.error().message.find(name), std::string::npos) << need.error().message;
  }
}

TEST(Inspect, FoldersWithoutAPartAreNamed) {
  for (const char* model : {"tiny-embedder", "tiny-classifier", "stories260K", "resnet20-cifar10"}) {
    const TemporaryFolder folder;
    for (const auto& file : fs::directory_iterator(models() + model)) {
      const std::string extension = file.path().extension().string();
      if (extension == ".json" || extension == ".txt") fs::copy(file.path(), fs::path(folder.root()) / file.path().filename(), fs::copy_options::recursive);
    }
    EXPECT_FALSE(inspect(folder.root(), Precision::Native)) << model << ": without weights";
    std::string weights = bytes_of(models() + model + "/model.safetensors");
    folder.write("model.safetensors", weights.substr(0, weights.size() - 100));
    EXPECT_FALSE(inspect(folder.root(), Precision::Native)) << model << ": cut short";
  }
}

}  // namespace
}  // namespace verge::engine
