// What families do with files beside reading them by name: fused tensors, keys of their own, refusals.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "engine/formats/quantized.h"
#include "engine/models/decoder/family.h"
#include "tests/engine/formats/safetensors_bytes.h"
#include "tests/engine/formats/temporary_folder.h"
#include "tests/engine/models/harness.h"

namespace verge::engine {
namespace {

using testing::safetensors_bytes;
using testing::TemporaryFolder;

TensorView view(const std::vector<float>& values, int64_t rows) {
  TensorView tensor;
  tensor.rank = 2;
  tensor.shape = {rows, static_cast<int64_t>(values.size()) / rows, 1, 1};
  tensor.data = reinterpret_cast<const std::byte*>(values.data());
  tensor.bytes = values.size() * sizeof(float);
  return tensor;
}

TEST(SplitRows, PartsAreViewsOfTheirRows) {
  const std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, other = {1, 2, 3, 4, 5};
  ModelFile file;
  file.tensors["blk.0.ffn_up.weight"] = view(values, 5);
  file.tensors["blk.11.ffn_up.bias"] = view(other, 5);
  file.tensors["blk.0.ffn_up_extra.weight"] = view(values, 5);
  const Part parts[] = {{"ffn_gate", 2}, {"ffn_up", 3}};
  ASSERT_TRUE(split_rows(file, "ffn_up", parts).ok());
  EXPECT_EQ(file.tensors.size(), 5u);
  EXPECT_EQ(to_string(file.tensors.at("blk.0.ffn_gate.weight")), "F32 {2, 2}");
  EXPECT_EQ(to_string(file.tensors.at("blk.0.ffn_up.weight")), "F32 {3, 2}");
  float first = 0;
  dequantize(file.tensors.at("blk.0.ffn_up.weight"), 0, 1, &first);
  EXPECT_EQ(first, 4);
  EXPECT_EQ(file.tensors.at("blk.11.ffn_up.bias").shape[0], 3);

  const Part wrong[] = {{"a", 4}, {"b", 4}};
  const auto refused = split_rows(file, "ffn_up", wrong);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("expected 8 rows"), std::string::npos) << refused.error().message;
}

std::string config(const char* architecture, const std::string& more) {
  return fmt::format(R"({{"architectures":["{}ForCausalLM"],"hidden_size":32,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
    "vocab_size":10,"rms_norm_eps":1e-5,"max_position_embeddings":131072{}}})", architecture, more);
}

Result<std::shared_ptr<ModelFile>> opened(const char* architecture, const std::string& more) {
  TemporaryFolder folder;
  folder.write("config.json", config(architecture, more));
  folder.write("model.safetensors", safetensors_bytes(R"({"model.norm.weight":{"dtype":"F32","shape":[32],"data_offsets":[0,128]}})", 128));
  return open_model_file(folder.root());
}

constexpr const char* kFactors = R"("short_factor":[1,1,1,1,1,1,1,1.5],"long_factor":[1,2,3,4,5,6,7,8])";

// Phi-3-mini-128k's files have said "su", "yarn" and "longrope" for the same.
TEST(Phi, LongRopeUnderAllItsNames) {
  for (const char* type : {"su", "yarn", "longrope"}) {
    SCOPED_TRACE(type);
    auto file = opened("Phi3", fmt::format(R"(,"original_max_position_embeddings":4096,"rope_scaling":{{"type":"{}",{}}})", type, kFactors));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ((*file)->architecture, "phi3");
    EXPECT_EQ((*file)->integer("rope.scaling.original_context_length"), 4096);
    EXPECT_NEAR(*(*file)->number("rope.scaling.attn_factor"), std::sqrt(1 + std::log(32.0) / std::log(4096.0)), 1e-12);
    std::vector<float> factors(8);
    dequantize((*file)->tensors.at("rope_factors_long.weight"), 0, 8, factors.data());
    EXPECT_EQ(factors, (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_EQ((*file)->integer("attention.sliding_window"), std::nullopt) << "nothing is said of one";
  }
  auto stated = opened("Phi3", fmt::format(R"(,"sliding_window":2047,"rope_scaling":{{"type":"longrope","attention_factor":1.5,{}}})", kFactors));
  ASSERT_TRUE(stated.ok()) << stated.error().message;
  EXPECT_EQ((*stated)->number("rope.scaling.attn_factor"), 1.5);
  EXPECT_EQ((*stated)->integer("attention.sliding_window"), 2047);
}

TEST(Phi, FaultsNameTheKey) {
  const auto fault = [](const std::string& more) {
    auto file = opened("Phi3", more);
    return file.ok() ? std::string("accepted") : file.error().message;
  };
  EXPECT_NE(fault(R"(,"rope_scaling":{"type":"longrope","short_factor":[1,1],"long_factor":[1,1]})").find("'short_factor' must be a list of 8"), std::string::npos);
  EXPECT_NE(fault(R"(,"rope_scaling":{"type":"longrope","short_factor":[1,1,1,1,1,1,1,0],"long_factor":[]})").find("positive numbers"), std::string::npos);
  EXPECT_NE(fault(R"(,"rope_scaling":{"type":"longrope","short_factor":[1,1,1,1,1,1,1,"a"]})").find("positive numbers"), std::string::npos);
  EXPECT_NE(fault(R"(,"rope_scaling":{"type":"dynamic","factor":2})").find("'dynamic'"), std::string::npos);
  EXPECT_NE(fault(R"(,"partial_rotary_factor":0.45)").find("rotary dimension"), std::string::npos);
}

TEST(Granite, MultipliersBecomeKeys) {
  auto file = opened("Granite", R"(,"embedding_multiplier":12,"residual_multiplier":0.22,"attention_multiplier":0.0078125,"logits_scaling":16)");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->number("embedding_scale"), 12);
  EXPECT_EQ((*file)->number("residual_scale"), 0.22);
  EXPECT_EQ((*file)->number("attention.scale"), 0.0078125);
  EXPECT_EQ((*file)->number("logit_scale"), 16);
  auto zero = opened("Granite", R"(,"residual_multiplier":0)");
  ASSERT_FALSE(zero.ok());
  EXPECT_NE(zero.error().message.find("residual_multiplier"), std::string::npos);
}

// A row's bits do not depend on how its text is cut: with LongRoPE the length of the whole text decides, not the chunk's.
TEST(Families, ChunksGiveTheBitsOfTheWhole) {
  for (const char* name : {"phi3-window", "phi3-long", "phi4-mini", "granite"}) {
    SCOPED_TRACE(name);
    const std::string folder = test_data(std::string("reference/") + name);
    const auto ids = numbers<int32_t>(read_json(folder + "/expected.json").at("ids"));
    auto runner = Runner::load(folder, Precision::Native, KvType::F16);
    ASSERT_TRUE(runner);
    const auto whole = runner->logits_of(ids);
    for (int chunk : {1, 7, 40}) EXPECT_EQ(runner->logits_of(ids, chunk), whole) << chunk;
  }
}

}  // namespace
}  // namespace verge::engine
