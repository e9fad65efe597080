#include "engine/models/decoder/hub.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "engine/models/decoder/names.h"
#include "engine/formats/quantized.h"
#include "engine/models/open.h"
#include "engine/formats/safetensors.h"
#include "engine/formats/mapped_file.h"
#include "tests/engine/formats/safetensors_bytes.h"
#include "tests/engine/formats/temporary_folder.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

using testing::safetensors_bytes;
using testing::TemporaryFolder;

std::vector<float> values(const ModelFile& file, const std::string& name) {
  const TensorView& tensor = file.tensors.at(name);
  std::vector<float> out(static_cast<size_t>(tensor.elements()));
  dequantize(tensor, 0, tensor.elements(), out.data());
  return out;
}

std::shared_ptr<ModelFile> reference(const std::string& name) {
  auto file = open_model_file(std::string(std::string(verge::test_data_folder()) + "/reference/") + name);
  EXPECT_TRUE(file.ok()) << file.error().message;
  return file.ok() ? *file : nullptr;
}

const char kConfig[] = R"({"architectures":["LlamaForCausalLM"],"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
  "vocab_size":10,"rms_norm_eps":1e-5,"eos_token_id":2,"max_position_embeddings":64)";
const char kNoTensors[] = R"({"model.norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";

// Opens a folder whose config.json is kConfig with `more` appended.
std::shared_ptr<ModelFile> with_config(const std::string& more) {
  TemporaryFolder folder;
  folder.write("config.json", std::string(kConfig) + more + "}");
  folder.write("model.safetensors", safetensors_bytes(kNoTensors, 16));
  auto file = open_model_file(folder.root());
  EXPECT_TRUE(file.ok()) << file.error().message;
  return file.ok() ? *file : std::make_shared<ModelFile>();
}

std::string refusal(const std::string& config) {
  TemporaryFolder folder;
  folder.write("config.json", config);
  folder.write("model.safetensors", safetensors_bytes(kNoTensors, 16));
  auto file = open_model_file(folder.root());
  if (file.ok()) return "accepted";
  EXPECT_EQ(file.error().code, Code::LoadFailed);
  EXPECT_NE(file.error().message.find("config.json"), std::string::npos) << file.error().message;
  return file.error().message;
}
#define EXPECT_REFUSED(config, what) EXPECT_NE(refusal(config).find(what), std::string::npos) << refusal(config)

TEST(HubNames, Translates) {
  constexpr HubName kOwn[] = {{"post_attention_layernorm", "post_attention_norm"}};
  EXPECT_EQ(gguf_tensor_name("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(gguf_tensor_name("lm_head.weight"), "output.weight");
  EXPECT_EQ(gguf_tensor_name("model.layers.12.self_attn.q_proj.bias"), "blk.12.attn_q.bias");
  EXPECT_EQ(gguf_tensor_name("model.layers.0.post_attention_layernorm.weight"), "blk.0.ffn_norm.weight");
  EXPECT_EQ(gguf_tensor_name("model.layers.0.post_attention_layernorm.weight", kOwn), "blk.0.post_attention_norm.weight");
  EXPECT_EQ(gguf_tensor_name("model.layers.0.self_attn.rotary_emb.inv_freq"), "");
  for (const char* unknown : {"", "weight", "model.layers..mlp.up_proj.weight", "model.layers.x.mlp.up_proj.weight", "model.layers.1", "model.layers.1.",
                              "model.layers.12345.mlp.up_proj.weight", "model.layers.1.mlp.experts.0.weight", "model.layers.1.mlp.up_proj.scales"}) {
    EXPECT_EQ(gguf_tensor_name(unknown), std::nullopt) << unknown;
  }
}

// The same model in both formats: equal but for the order of the rows of q and k.
TEST(Hub, AgreesWithTheGgufOfTheSameModel) {
  auto hub = open_model_file(std::string(verge::test_data_folder()) + "/models/stories260K/config.json");
  auto gguf = open_model_file(std::string(verge::test_data_folder()) + "/models/stories260K/stories260K-f32.gguf");
  ASSERT_TRUE(hub.ok() && gguf.ok());
  EXPECT_EQ((*hub)->format, "hub");
  EXPECT_EQ((*hub)->architecture, (*gguf)->architecture);
  EXPECT_EQ((*hub)->stop_ids, (*gguf)->stop_ids);
  for (const char* key : {"block_count", "embedding_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv", "context_length"}) {
    EXPECT_EQ((*hub)->integer(key), (*gguf)->integer(key)) << key;
  }
  EXPECT_FLOAT_EQ(static_cast<float>(*(*hub)->number("attention.layer_norm_rms_epsilon")),
                  static_cast<float>(*(*gguf)->number("attention.layer_norm_rms_epsilon")));
  EXPECT_EQ((*hub)->tensors.size(), (*gguf)->tensors.size());
  for (const auto& [name, tensor] : (*gguf)->tensors) {
    ASSERT_TRUE((*hub)->tensors.contains(name)) << name;
    if (name.find("attn_q") != std::string::npos || name.find("attn_k") != std::string::npos) continue;
    EXPECT_EQ(values(**hub, name), values(**gguf, name)) << name;
  }
  // Row 2 i + j of a head in GGUF is row i + j * head_dim / 2 in the hub.
  const auto mine = values(**hub, "blk.0.attn_k.weight"), theirs = values(**gguf, "blk.0.attn_k.weight");
  const size_t columns = 64, head_dim = 8;
  for (size_t row = 0; row < 32; ++row) {
    const size_t in_head = row % head_dim, source = row - in_head + in_head / 2 + in_head % 2 * head_dim / 2;
    for (size_t c = 0; c < columns; ++c) ASSERT_EQ(theirs[row * columns + c], mine[source * columns + c]);
  }
}

TEST(Hub, ReferenceFoldersOpen) {
  for (const char* name : {"llama-rope3", "llama-tied", "llama-linear", "llama-yarn", "mistral-window", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3-window", "phi3-long", "phi4-mini",
                           "granite", "granite-tied"}) {
    const auto file = reference(name);
    ASSERT_TRUE(file) << name;
    EXPECT_TRUE(file->tensors.contains("token_embd.weight"));
    EXPECT_TRUE(file->tensors.contains("blk.1.ffn_down.weight"));
    for (const auto& [tensor, view] : file->tensors) EXPECT_NE(view.data, nullptr) << tensor;
  }
}

TEST(Hub, ShardedAndTied) {
  const auto file = reference("llama-tied");
  EXPECT_EQ(file->maps.size(), 2u);
  EXPECT_FALSE(file->tensors.contains("output.weight"));
  EXPECT_EQ(file->tensors.at("token_embd.weight").type, DType::BF16);
  EXPECT_EQ(file->stop_ids, (std::vector<int32_t>{2, 5}));
  EXPECT_EQ(file->integer("tokenizer.ggml.eos_token_id"), 2);
}

TEST(Hub, GemmaNormsGetTheirOne) {
  const auto file = reference("gemma3");
  auto map = MappedFile::open(std::string(verge::test_data_folder()) + "/reference/gemma3/model.safetensors");
  ASSERT_TRUE(map.ok());
  auto raw = parse_safetensors((*map)->bytes(), "raw");
  ASSERT_TRUE(raw.ok());
  const std::pair<const char*, const char*> kNorms[] = {{"model.norm.weight", "output_norm.weight"},
                                                        {"model.layers.1.self_attn.q_norm.weight", "blk.1.attn_q_norm.weight"},
                                                        {"model.layers.0.post_attention_layernorm.weight", "blk.0.post_attention_norm.weight"},
                                                        {"model.layers.0.pre_feedforward_layernorm.weight", "blk.0.ffn_norm.weight"},
                                                        {"model.layers.6.post_feedforward_layernorm.weight", "blk.6.post_ffw_norm.weight"}};
  for (const auto& [hub, gguf] : kNorms) {
    const TensorView& stored = raw->at(hub);
    std::vector<float> expected(static_cast<size_t>(stored.elements()));
    dequantize(stored, 0, stored.elements(), expected.data());
    for (float& w : expected) w += 1;
    EXPECT_EQ(values(*file, gguf), expected) << gguf;
    EXPECT_EQ(file->tensors.at(gguf).type, DType::F32);
  }
  EXPECT_EQ(file->tensors.at("blk.0.attn_q.weight").type, DType::BF16);
}

TEST(Hub, GemmaKeys) {
  const auto file = reference("gemma3");
  EXPECT_EQ(file->architecture, "gemma3");
  EXPECT_EQ(file->integer("attention.sliding_window"), 8);
  EXPECT_EQ(file->integer("attention.sliding_window_pattern"), 6);
  EXPECT_EQ(file->integer("attention.key_length"), 32);
  EXPECT_EQ(file->number("rope.freq_base"), 1e6);
  EXPECT_EQ(file->number("rope.freq_base_swa"), 1e4);
  EXPECT_DOUBLE_EQ(*file->number("attention.scale"), 1 / std::sqrt(48.0));
  const auto second = reference("gemma2");
  EXPECT_EQ(second->number("attn_logit_softcapping"), 5.0);
  EXPECT_EQ(second->number("final_logit_softcapping"), 8.0);
  EXPECT_EQ(second->integer("attention.sliding_window_pattern"), 2);
}

TEST(Hub, Llama3ScalingBecomesDivisors) {
  // Llama 3.2 1B's own parameters against divisors as llama.cpp's converter computes them.
  const auto file = with_config(R"(,"head_dim":64,"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":32.0,"low_freq_factor":1.0,
    "high_freq_factor":4.0,"original_max_position_embeddings":8192})");
  const auto factors = values(*file, "rope_freqs.weight");
  ASSERT_EQ(factors.size(), 32u);
  EXPECT_EQ(factors[0], 1.f);
  EXPECT_EQ(factors[14], 1.f);
  EXPECT_NEAR(factors[15], 1.6513293, 1e-6);
  EXPECT_NEAR(factors[16], 3.292262, 1e-6);
  EXPECT_NEAR(factors[17], 9.666729, 1e-6);
  EXPECT_EQ(factors[18], 32.f);
  EXPECT_EQ(factors[31], 32.f);
  EXPECT_EQ(file->text("rope.scaling.type"), std::nullopt);
}

TEST(Hub, LinearAndYarnKeys) {
  const auto linear = with_config(R"(,"rope_scaling":{"type":"linear","factor":2.5})");
  EXPECT_EQ(linear->text("rope.scaling.type"), "linear");
  EXPECT_EQ(linear->number("rope.scaling.factor"), 2.5);
  const auto yarn = with_config(R"(,"rope_parameters":{"rope_type":"yarn","rope_theta":1e6,"factor":4.0,"original_max_position_embeddings":16,"beta_fast":24})");
  EXPECT_EQ(yarn->text("rope.scaling.type"), "yarn");
  EXPECT_EQ(yarn->number("rope.freq_base"), 1e6);
  EXPECT_EQ(yarn->integer("rope.scaling.original_context_length"), 16);
  EXPECT_EQ(yarn->number("rope.scaling.yarn_beta_fast"), 24.0);
  EXPECT_EQ(yarn->number("rope.scaling.yarn_beta_slow"), 1.0);
  EXPECT_EQ(yarn->number("rope.scaling.attn_factor"), 1.0);
  const auto stated = with_config(R"(,"rope_scaling":{"rope_type":"yarn","factor":4.0,"attention_factor":1.5})");
  EXPECT_DOUBLE_EQ(*stated->number("rope.scaling.attn_factor") * (1 + 0.1 * std::log(4.0)), 1.5);
  const auto plain = with_config(R"(,"rope_scaling":null,"rope_theta":5e5)");
  EXPECT_EQ(plain->number("rope.freq_base"), 5e5);
  EXPECT_EQ(plain->text("rope.scaling.type"), std::nullopt);
}

TEST(Hub, Windows) {
  const auto window = [](const std::string& architecture, const std::string& more) {
    std::string config = std::string(kConfig) + more + "}";
    config.replace(config.find("Llama"), 5, architecture);
    config.replace(config.find("\"num_hidden_layers\":1"), 21, "\"num_hidden_layers\":4");
    TemporaryFolder folder;
    folder.write("config.json", config);
    folder.write("model.safetensors", safetensors_bytes(kNoTensors, 16));
    auto file = open_model_file(folder.root());
    if (!file.ok()) return file.error().message;
    return fmt::format("{} {}", (*file)->integer("attention.sliding_window").value_or(0), (*file)->integer("attention.sliding_window_pattern").value_or(0));
  };
  EXPECT_EQ(window("Llama", R"(,"sliding_window":8)"), "0 0");
  EXPECT_EQ(window("Mistral", R"(,"sliding_window":8)"), "8 0");
  EXPECT_EQ(window("Mistral", R"(,"sliding_window":null)"), "0 0");
  EXPECT_EQ(window("Qwen2", R"(,"sliding_window":8)"), "0 0");
  EXPECT_EQ(window("Qwen2", R"(,"sliding_window":8,"use_sliding_window":true,"max_window_layers":0)"), "8 0");
  EXPECT_EQ(window("Qwen2", R"(,"sliding_window":8,"use_sliding_window":true,"max_window_layers":4)"), "0 0");
  EXPECT_NE(window("Qwen2", R"(,"sliding_window":8,"use_sliding_window":true,"max_window_layers":2)").find("irregular"), std::string::npos);
  EXPECT_EQ(window("Gemma2", R"(,"sliding_window":8)"), "8 2");
  EXPECT_EQ(window("Gemma3", R"(,"sliding_window":8)"), "8 5");  // the global layer would be the sixth of four
  EXPECT_EQ(window("Gemma3", R"(,"sliding_window":8,"sliding_window_pattern":3)"), "8 3");
  EXPECT_EQ(window("Gemma3", R"(,"sliding_window":8,"layer_types":["sliding_attention","full_attention","sliding_attention","full_attention"])"), "8 2");
  EXPECT_NE(window("Gemma3", R"(,"sliding_window":8,"layer_types":["full_attention"])").find("layer_types"), std::string::npos);
}

TEST(Hub, ConfigurationFaultsNameTheKey) {
  const std::string config = kConfig;
  EXPECT_REFUSED("", "config.json");
  EXPECT_REFUSED("[1]", "not a JSON object");
  EXPECT_REFUSED("{}", "no 'architectures'");
  EXPECT_REFUSED(R"({"architectures":["BertModel"]})", "'BertModel' is not supported");
  EXPECT_REFUSED(R"({"architectures":["LlamaForCausalLM"]})", "'hidden_size' is missing");
  EXPECT_REFUSED(config + R"(,"num_key_value_heads":0})", "'num_key_value_heads' must be");
  EXPECT_REFUSED(config + R"(,"head_dim":-1})", "'head_dim' must be");
  EXPECT_REFUSED(config + R"(,"head_dim":1e300})", "'head_dim' must be");
  EXPECT_REFUSED(config + R"(,"head_dim":"64"})", "'head_dim' must be");
  EXPECT_REFUSED(config + R"(,"head_dim":3})", "rotary dimension");
  EXPECT_REFUSED(config + R"(,"rope_theta":0})", "'rope_theta' must be");
  EXPECT_REFUSED(config + R"(,"rope_scaling":{"rope_type":"longrope"}})", "longrope's 'short_factor'");
  EXPECT_REFUSED(config + R"(,"rope_scaling":{"rope_type":"dynamic","factor":2.0}})", "'dynamic'");
  EXPECT_REFUSED(config + R"(,"rope_scaling":{"rope_type":"linear"}})", "'factor' is missing");
  EXPECT_REFUSED(config + R"(,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}})", "high_freq_factor");
  EXPECT_REFUSED(config + R"(,"hidden_act":"relu"})", "'relu'");
  EXPECT_REFUSED(config + R"(,"quantization_config":{"quant_method":"awq"}})", "'awq'");
  std::string many = config + "}";
  many.replace(many.find("\"num_hidden_layers\":1"), 21, "\"num_hidden_layers\":2000000000");
  EXPECT_REFUSED(many, "layers, limit");
}

TEST(Hub, WeightFaultsNameFileAndTensor) {
  const auto error = [](const TemporaryFolder& folder) {
    auto file = open_model_file(folder.root());
    if (file.ok()) return std::string("accepted");
    EXPECT_TRUE(file.error().code == Code::LoadFailed || file.error().code == Code::Io);
    return file.error().message;
  };
  TemporaryFolder folder;
  EXPECT_NE(error(folder).find("config.json: no such file"), std::string::npos);
  folder.write("config.json", std::string(kConfig) + "}");
  EXPECT_NE(error(folder).find("neither model.safetensors nor"), std::string::npos);
  folder.write("model.safetensors", safetensors_bytes(R"({"model.layers.0.mlp.gate.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4));
  EXPECT_NE(error(folder).find("'model.layers.0.mlp.gate.weight' is not known for llama"), std::string::npos);
  folder.write("model.safetensors", safetensors_bytes(R"({"model.norm.weight":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", 4));
  EXPECT_NE(error(folder).find("not of a floating-point type"), std::string::npos);
  folder.write("model.safetensors", "");
  EXPECT_NE(error(folder).find("model.safetensors: the file is empty"), std::string::npos);
  std::filesystem::remove(folder.path("model.safetensors"));
  const auto index = [&](const std::string& text) { folder.write("model.safetensors.index.json", text); };
  index("{}");
  EXPECT_NE(error(folder).find("no 'weight_map'"), std::string::npos);
  for (const char* name : {"../x.safetensors", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\\\b", "a\\u0000b"}) {
    index(std::string(R"({"weight_map":{"model.norm.weight":")") + name + "\"}}");
    EXPECT_NE(error(folder).find("not a plain file name"), std::string::npos) << name;
  }
  index(R"({"weight_map":{"model.norm.weight":5}})");
  EXPECT_NE(error(folder).find("must hold file names"), std::string::npos);
  index(R"({"weight_map":{"model.norm.weight":"a.safetensors"}})");
  EXPECT_NE(error(folder).find("a.safetensors: cannot open"), std::string::npos);
  folder.write("a.safetensors", safetensors_bytes(R"({"other":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4));
  EXPECT_NE(error(folder).find("'model.norm.weight' is not in a.safetensors"), std::string::npos);
}

TEST(Hub, MisalignedTensorsAreCopied) {
  TemporaryFolder folder;
  folder.write("config.json", std::string(kConfig) + "}");
  std::string header = R"({"model.norm.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  header.resize(73, ' ');  // data at byte 81
  folder.write("model.safetensors", safetensors_bytes(header, 8));
  auto file = open_model_file(folder.root());
  ASSERT_TRUE(file.ok()) << file.error().message;
  const TensorView& norm = (*file)->tensors.at("output_norm.weight");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(norm.data) % 4, 0u);
  EXPECT_EQ(norm.data[5], std::byte{5});
}

TEST(Hub, TokenizerMaterialAndStopIds) {
  TemporaryFolder folder;
  folder.write("config.json", std::string(kConfig) + "}");
  folder.write("model.safetensors", safetensors_bytes(kNoTensors, 16));
  folder.write("tokenizer.json", R"({"added_tokens":[{"id":7,"content":"<|im_end|>"},{"id":8,"content":"<stop>"}]})");
  folder.write("generation_config.json", R"({"eos_token_id":[2,4]})");
  auto file = open_model_file(folder.root());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->stop_ids, (std::vector<int32_t>{2, 4, 7}));
  EXPECT_FALSE((*file)->tokenizer_json.empty());
  EXPECT_TRUE((*file)->chat_template.empty());

  folder.write("tokenizer_config.json", R"({"eos_token":{"content":"<stop>"},"chat_template":[{"name":"tool","template":"T"},{"name":"default","template":"D"}],
    "added_tokens_decoder":{"8":{"content":"<stop>"},"9":{"content":"<|eot_id|>"},"10":{"content":"<pad>"},"x":{"content":"<|eot_id|>"}}})");
  file = open_model_file(folder.root());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->stop_ids, (std::vector<int32_t>{2, 4, 8, 9}));
  EXPECT_EQ((*file)->chat_template, "D");

  folder.write("chat_template.jinja", "from the file");
  file = open_model_file(folder.root());
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->chat_template, "from the file");

  folder.write("tokenizer_config.json", "{broken");
  file = open_model_file(folder.root());
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("tokenizer_config.json"), std::string::npos);
}

// Python's NaN, a byte-order mark, and ids in other forms, in every small file.
TEST(Hub, FilesAsOtherToolsLeaveThem) {
  const std::string mark = "\xEF\xBB\xBF";
  TemporaryFolder folder;
  folder.write("config.json",
               mark + kConfig + R"(,"attention_dropout":NaN,"router_bias":-Infinity})");
  folder.write("model.safetensors", safetensors_bytes(kNoTensors, 16));
  folder.write("tokenizer.json",
               mark + R"({"added_tokens":[{"id":7,"content":"<|im_end|>"}],"x":NaN})");
  folder.write(
      "tokenizer_config.json",
      mark +
          R"({"model_max_length":Infinity,"added_tokens_decoder":{"7":{"content":"<|im_end|>"}}})");
  folder.write("chat_template.jinja", mark + "T");
  folder.write("generation_config.json",
               mark + R"({"temperature":NaN,"eos_token_id":[2.0,"4",null,[5],-1]})");
  auto file = open_model_file(folder.root());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->stop_ids, (std::vector<int32_t>{2, 4, 7}));
  EXPECT_EQ((*file)->chat_template, "T");

  // As in transformers, what a generation_config.json cannot say is left unsaid.
  for (const char* broken : {"", "{broken", "[]", "\xFF"}) {
    folder.write("generation_config.json", broken);
    file = open_model_file(folder.root());
    ASSERT_TRUE(file.ok()) << broken << file.error().message;
    EXPECT_EQ((*file)->stop_ids, (std::vector<int32_t>{2, 7}));
  }
}

TEST(Hub, SentencePieceOnlyWithoutTokenizerJson) {
  TemporaryFolder folder;
  folder.write("config.json", std::string(kConfig) + "}");
  folder.write("model.safetensors", safetensors_bytes(kNoTensors, 16));
  folder.write("tokenizer.model", "protobuf");
  auto file = open_model_file(folder.root());
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->tokenizer_model, "protobuf");
  folder.write("tokenizer.json", "{}");
  file = open_model_file(folder.root());
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->tokenizer_model.empty());
}

}  // namespace
}  // namespace verge::engine
