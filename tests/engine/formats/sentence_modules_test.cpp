#include "engine/formats/sentence_modules.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/engine/formats/temporary_folder.h"

namespace verge::engine {
namespace {

// A folder with the given modules (names of types) and pooling configuration.
class SentenceModules : public ::testing::Test {
 protected:
  Result<std::vector<DenseModule>> read(const std::string& modules) {
    folder_.write("modules.json", modules);
    file_ = {};
    return read_sentence_files(folder_.root(), &file_);
  }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_.path(name)).parent_path());
    folder_.write(name, text);
  }
  std::string error(const std::string& modules) {
    auto done = read(modules);
    return done ? "" : done.error().message;
  }
  testing::TemporaryFolder folder_;
  ModelFile file_;
};

constexpr const char* kPooled = R"([{"type":"sentence_transformers.models.Transformer","path":""},{"type":"sentence_transformers.models.Pooling","path":"1_Pooling"}])";

TEST_F(SentenceModules, NothingBesideTheModel) {
  auto none = read_sentence_files(folder_.root(), &file_);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
  EXPECT_EQ(file_.integer("pooling_type"), std::nullopt);
}

TEST_F(SentenceModules, PoolingLengthAndNormalize) {
  write("sentence_bert_config.json", R"({"max_seq_length":256})");
  write("1_Pooling/config.json", R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})");
  ASSERT_TRUE(read(kPooled));
  EXPECT_EQ(file_.integer("pooling_type"), 2);
  EXPECT_EQ(file_.integer("max_sequence_length"), 256);
  EXPECT_EQ(file_.boolean("pooling.normalize"), false);
  write("1_Pooling/config.json", R"({"embedding_dimension":8,"pooling_mode":"lasttoken"})");
  ASSERT_TRUE(read(kPooled));
  EXPECT_EQ(file_.integer("pooling_type"), 3) << "as sentence-transformers 5 writes it";
  write("1_Pooling/config.json", R"({"pooling_mode_max_tokens":true})");
  EXPECT_NE(error(kPooled).find("mean, cls and last-token"), std::string::npos);
  write("1_Pooling/config.json", R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true})");
  EXPECT_NE(error(kPooled), "") << "two vectors behind each other";
}

TEST_F(SentenceModules, DenseLayersInOrder) {
  write("2_Dense/config.json", R"({"in_features":8,"out_features":16,"bias":false,"activation_function":"torch.nn.modules.linear.Identity"})");
  write("3_Dense/config.json", R"({"in_features":16,"out_features":8})");
  const std::string modules = R"([{"type":"a.Transformer"},{"type":"a.Pooling"},{"type":"a.Dense","path":"2_Dense"},{"type":"a.Dense","path":"3_Dense"},{"type":"a.Normalize"}])";
  auto dense = read(modules);
  ASSERT_TRUE(dense) << dense.error().message;
  ASSERT_EQ(dense->size(), 2u);
  EXPECT_EQ((*dense)[1].index, 3);
  EXPECT_TRUE((*dense)[0].folder.ends_with("2_Dense"));
  EXPECT_EQ(file_.text("dense_2.activation"), "identity");
  EXPECT_EQ(file_.text("dense_3.activation"), "tanh") << "the default";
  EXPECT_EQ(file_.boolean("pooling.normalize"), true);
  write("3_Dense/config.json", R"({"activation_function":"torch.nn.modules.activation.GELU"})");
  EXPECT_NE(error(modules).find("GELU"), std::string::npos);
}

TEST_F(SentenceModules, WhatWouldGiveWrongVectorsInSilenceIsRefused) {
  EXPECT_NE(error(R"([{"type":"a.LayerNorm"}])").find("LayerNorm"), std::string::npos);
  EXPECT_NE(error(R"([{"type":"a.Normalize"},{"type":"a.Dense"}])").find("after Normalize"), std::string::npos);
  EXPECT_NE(error(R"([{"type":"a.Dense","path":"../x"}])").find("plain folder name"), std::string::npos);
  EXPECT_NE(error("{}"), "");
  EXPECT_NE(error("[1]"), "");
}

}  // namespace
}  // namespace verge::engine
