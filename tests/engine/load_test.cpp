// The one door: a path becomes a model with its tokenizer, or an error that says what is wrong with which file.
#include "engine/open.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "engine/models/table.h"
#include "support/limits.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string data(const std::string& path) { return std::string(verge::test_data_folder()) + "/" + path; }

class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_cpu_backend({1, ""});
    ASSERT_TRUE(made.ok());
    backend_ = std::move(*made);
    folder_ = fs::path(testing::TempDir()) / ("verge_load_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string error_of(const std::string& path) {
    auto loaded = open_as<LoadedModel>(path, *backend_, {});
    return loaded ? "" : loaded.error().message;
  }
  // A copy of the stories model whose bytes `change` alters.
  std::string changed(const std::function<void(std::string&)>& change) {
    std::ifstream in(data("models/stories260K/stories260K-f32.gguf"), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    change(bytes);
    const fs::path path = folder_ / "model.gguf";
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  // Writes `value` over the 32-bit integer that follows a metadata key.
  std::string with_integer(const std::string& key, uint32_t value) {
    return changed([&](std::string& bytes) {
      const size_t at = bytes.find(key);
      ASSERT_NE(at, std::string::npos) << key;
      bytes.replace(at + key.size() + 4, 4, reinterpret_cast<const char*>(&value), 4);
    });
  }

  std::unique_ptr<Backend> backend_;
  fs::path folder_;
};

TEST_F(LoadTest, StoriesTellsItsStory) {
  for (const char* path : {"models/stories260K", "models/stories260K/stories260K-f32.gguf"}) {
    double progress = 0;
    auto loaded = open_as<LoadedModel>(data(path), *backend_, {Precision::Native, KvType::F16, [&](double p) {
      EXPECT_GE(p, progress);
      progress = p;
    }});
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_EQ(progress, 1);
    LanguageModel& model = *loaded->model;
    EXPECT_EQ(model.info().architecture, "llama");
    EXPECT_EQ(model.info().vocabulary, 512);
    EXPECT_EQ(model.info().layers, 5);
    EXPECT_GT(model.info().parameters, 250'000);

    auto ids = loaded->tokenizer->encode("Once upon a time", {});
    auto cache = model.make_kv_cache(8, KvType::F16);
    ASSERT_TRUE(cache.ok());
    const std::vector<int32_t> pages = {0, 1, 2, 3, 4, 5, 6, 7};
    std::vector<float> logits(512);
    const auto run = [&](std::span<const int32_t> tokens, size_t position) {
      const StepSequence step[] = {{tokens, static_cast<int>(position), pages, 1}};
      model.forward(step, **cache, logits.data());
      return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    };
    int32_t next = run(ids, 0);
    for (int i = 0; i < 20; ++i) {
      ids.push_back(next);
      next = run(std::span(ids).last(1), ids.size() - 1);
    }
    EXPECT_EQ(loaded->tokenizer->decode(ids).substr(0, 45), "Once upon a time, there was a little girl nam");
  }
}

TEST_F(LoadTest, NeedIsWhatTheLoadTakes) {
  for (const char* path : {"models/stories260K", "reference/gemma3", "reference/quant/llama-q4_k.gguf", "reference/quant/llama-q8_0.gguf"}) {
    auto file = open_model_file(data(path));
    ASSERT_TRUE(file.ok());
    auto architecture = find_architecture(**file);
    ASSERT_TRUE(architecture.ok());
    auto need = (*architecture)->need(**file, *backend_, Precision::Native);
    ASSERT_TRUE(need.ok()) << need.error().message;
    EXPECT_GT(need->context_tokens, 0);
    auto model = (*architecture)->load(*file, *backend_, {});
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(need->weights, (*model)->info().weight_bytes);
    auto cache = (*model)->make_kv_cache(4, KvType::F16);
    ASSERT_TRUE(cache.ok());
    EXPECT_NEAR(static_cast<double>(need->kv_per_token * 4 * limits::kPageTokens), static_cast<double>((*cache)->bytes), 4.0 * limits::kPageTokens);
    EXPECT_GT(need->scratch, 0u);
    EXPECT_GT(need->kv_per_token, 0u);
  }
}

TEST_F(LoadTest, ErrorsNameTheFileAndTheFault) {
  EXPECT_THAT(error_of("/nowhere/model.gguf"), HasSubstr("/nowhere/model.gguf"));
  EXPECT_THAT(error_of(with_integer("llama.block_count", 6)), HasSubstr("blk.5."));
  EXPECT_THAT(error_of(with_integer("llama.block_count", 4)), HasSubstr("blk.4."));
  EXPECT_THAT(error_of(with_integer("llama.block_count", 0x7fffffff)), HasSubstr("block_count"));
  EXPECT_THAT(error_of(with_integer("llama.block_count", 0)), HasSubstr("block_count"));
  EXPECT_THAT(error_of(with_integer("llama.embedding_length", 128)), HasSubstr("expected {"));
  EXPECT_THAT(error_of(with_integer("llama.feed_forward_length", 100)), HasSubstr("blk.0.ffn_gate.weight"));
  EXPECT_NE(error_of(with_integer("llama.attention.head_count", 7)), "");
  EXPECT_THAT(error_of(with_integer("llama.attention.head_count", 0)), HasSubstr("head_count"));
  EXPECT_THAT(error_of(with_integer("llama.attention.head_count_kv", 3)), HasSubstr("KV heads"));
  EXPECT_THAT(error_of(with_integer("llama.rope.dimension_count", 7)), HasSubstr("rope.dimension_count"));
  EXPECT_THAT(error_of(with_integer("llama.context_length", 0)), HasSubstr("context_length"));
  // A folder with weights and without a tokenizer.
  const std::string bare = data("reference/qwen2");
  EXPECT_THAT(error_of(bare), testing::AllOf(HasSubstr(bare), HasSubstr("tokenizer")));
  const std::string renamed = changed([](std::string& bytes) {
    const std::string name = "blk.2.ffn_up.weight";
    bytes.replace(bytes.find(name), name.size(), "blk.2.ffn_xx.weight");
  });
  EXPECT_THAT(error_of(renamed), HasSubstr("'blk.2.ffn_up.weight' {172, 64} is missing"));
  const std::string architecture = changed([](std::string& bytes) {
    const std::string key = "general.architecture";
    const size_t at = bytes.find("llama", bytes.find(key));
    bytes.replace(at, 5, "lloma");
  });
  EXPECT_THAT(error_of(architecture), HasSubstr("'lloma' is not supported"));
}

}  // namespace
}  // namespace verge::engine
