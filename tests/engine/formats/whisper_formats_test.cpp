// CTranslate2's and whisper.cpp's files, written by the test from the weights of tests/data/speech/small: both give
// the tensors that the hub's layout gives; files that lie are refused.
#include <gtest/gtest.h>

#include <cstring>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/formats/ctranslate2.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/whisper_bin.h"
#include "engine/formats/whisper_parts.h"
#include "support/random.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

class Bytes {
 public:
  template <class T>
  Bytes& number(T value) {
    return raw(&value, sizeof value);
  }
  Bytes& raw(const void* data, size_t count) {
    out.append(static_cast<const char*>(data), count);
    return *this;
  }
  Bytes& text(std::string_view s) {  // CTranslate2's
    number(static_cast<uint16_t>(s.size() + 1));
    out.append(s);
    out.push_back('\0');
    return *this;
  }
  std::string out;
};

std::shared_ptr<ModelFile> hub() {
  auto file = open_container(std::string(verge::test_data_folder()) + "/speech/small");
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  (*file)->tensors = std::move((*file)->hub_tensors);
  for (const char* key : {"encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"}) {
    (*file)->meta[key] = (*file)->config.at(key).as_int64();
  }
  return *file;
}

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

struct Variable {
  std::string name;
  std::vector<int64_t> shape;
  uint8_t type;
  std::string data;
};

std::string data_of(const ModelFile& file, const std::string& name) {
  const TensorView& view = file.tensors.at(name);
  return {reinterpret_cast<const char*>(view.data), view.bytes};
}
std::vector<int64_t> shape_of(const TensorView& view) { return {view.shape.begin(), view.shape.begin() + view.rank}; }

// As the converter names and stacks them.
std::vector<Variable> ct2_variables(const ModelFile& file) {
  std::vector<Variable> list;
  const auto add = [&](const std::string& to, const std::string& from) {
    list.push_back({to, shape_of(file.tensors.at(from)), 4, data_of(file, from)});
  };
  const auto linear = [&](const std::string& to, const std::string& from) { add(to + "/weight", from + ".weight"), add(to + "/bias", from + ".bias"); };
  const auto norm = [&](const std::string& to, const std::string& from) { add(to + "/gamma", from + ".weight"), add(to + "/beta", from + ".bias"); };
  const auto stacked = [&](const std::string& to, const std::vector<std::string>& from) {
    Variable weight{to + "/weight", {0, 0}, 4, ""}, bias{to + "/bias", {0}, 4, ""};
    for (const auto& name : from) {
      const TensorView& view = file.tensors.at(name + ".weight");
      weight.shape = {weight.shape[0] + view.shape[0], view.shape[1]};
      weight.data += data_of(file, name + ".weight");
      bias.shape[0] += view.shape[0];
      bias.data += file.tensors.contains(name + ".bias") ? data_of(file, name + ".bias") : std::string(static_cast<size_t>(view.shape[0]) * 2, '\0');
    }
    list.push_back(weight), list.push_back(bias);
  };
  for (const std::string part : {"encoder", "decoder"}) {
    list.push_back({part + "/num_heads", {}, 2, std::string("\3\0", 2)});
    norm(part + "/layer_norm", "model." + part + ".layer_norm");
    add(part + "/position_encodings/encodings", "model." + part + ".embed_positions.weight");
    for (int i = 0; i < 2; ++i) {
      const std::string to = fmt::format("{}/layer_{}/", part, i), from = fmt::format("model.{}.layers.{}.", part, i);
      norm(to + "self_attention/layer_norm", from + "self_attn_layer_norm");
      stacked(to + "self_attention/linear_0", {from + "self_attn.q_proj", from + "self_attn.k_proj", from + "self_attn.v_proj"});
      linear(to + "self_attention/linear_1", from + "self_attn.out_proj");
      if (part == "decoder") {
        norm(to + "attention/layer_norm", from + "encoder_attn_layer_norm");
        linear(to + "attention/linear_0", from + "encoder_attn.q_proj");
        stacked(to + "attention/linear_1", {from + "encoder_attn.k_proj", from + "encoder_attn.v_proj"});
        linear(to + "attention/linear_2", from + "encoder_attn.out_proj");
      }
      norm(to + "ffn/layer_norm", from + "final_layer_norm");
      linear(to + "ffn/linear_0", from + "fc1");
      linear(to + "ffn/linear_1", from + "fc2");
    }
  }
  linear("encoder/conv1", "model.encoder.conv1");
  linear("encoder/conv2", "model.encoder.conv2");
  add("decoder/embeddings/weight", "model.decoder.embed_tokens.weight");
  list.push_back({"decoder/activation", {}, 1, std::string(1, 3)});
  return list;
}

std::string ct2_file(const std::vector<Variable>& variables) {
  Bytes b;
  b.number(uint32_t{6}).text("WhisperSpec").number(uint32_t{3}).number(static_cast<uint32_t>(variables.size()));
  for (const Variable& v : variables) {
    b.text(v.name).number(static_cast<uint8_t>(v.shape.size()));
    for (int64_t size : v.shape) b.number(static_cast<uint32_t>(size));
    b.number(v.type).number(static_cast<uint32_t>(v.data.size())).raw(v.data.data(), v.data.size());
  }
  b.number(uint32_t{1}).text("decoder/projection/weight").text("decoder/embeddings/weight");
  return b.out;
}

void expect_equal(const ModelFile& got, const ModelFile& wanted) {
  EXPECT_EQ(got.tensors.size(), wanted.tensors.size());
  for (const auto& [name, view] : wanted.tensors) {
    ASSERT_TRUE(got.tensors.contains(name)) << name;
    const TensorView& other = got.tensors.at(name);
    EXPECT_EQ(shape_of(other), shape_of(view)) << name;
    ASSERT_EQ(other.bytes, view.bytes) << name;
    EXPECT_EQ(std::memcmp(other.data, view.data, view.bytes), 0) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(other.data) % 2, 0u) << name;
  }
  for (const char* key : {"encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"}) EXPECT_EQ(got.integer(key), wanted.integer(key)) << key;
}

TEST(CTranslate2, TensorsAreTheHubs) {
  const auto wanted = hub();
  const std::string bytes = ct2_file(ct2_variables(*wanted));
  EXPECT_TRUE(is_ctranslate2(as_bytes(bytes)));
  ModelFile file;
  auto read = parse_ctranslate2(as_bytes(bytes), &file);
  ASSERT_TRUE(read) << read.error().message;
  expect_equal(file, *wanted);
}

TEST(CTranslate2, WeightsOf8BitsAreExpanded) {
  const auto wanted = hub();
  auto variables = ct2_variables(*wanted);
  for (Variable& v : variables) {
    if (v.name != "encoder/layer_0/ffn/linear_0/weight") continue;
    v.type = 1;
    v.data.assign(static_cast<size_t>(v.shape[0] * v.shape[1]), '\x40');  // 64
    std::string factors;
    for (int64_t i = 0; i < v.shape[0]; ++i) {
      const float factor = static_cast<float>(i + 1);
      factors.append(reinterpret_cast<const char*>(&factor), 4);
    }
    const int64_t rows = v.shape[0];
    variables.push_back({"encoder/layer_0/ffn/linear_0/weight_scale", {rows}, 0, factors});
    break;
  }
  const std::string bytes = ct2_file(variables);
  ModelFile file;
  auto read = parse_ctranslate2(as_bytes(bytes), &file);
  ASSERT_TRUE(read) << read.error().message;
  float row[48];
  dequantize(file.tensors.at("model.encoder.layers.0.fc1.weight"), 3 * 48, 48, row);
  EXPECT_EQ(row[5], 16);
}

TEST(CTranslate2, FilesThatLieAreRefused) {
  const auto good = ct2_variables(*hub());
  const auto refused = [](const std::string& bytes, std::string_view why) {
    ModelFile file;
    auto read = parse_ctranslate2(as_bytes(bytes), &file);
    ASSERT_FALSE(read) << why;
    EXPECT_EQ(read.error().code, Code::LoadFailed);
    EXPECT_NE(read.error().message.find(why), std::string::npos) << read.error().message;
  };
  const std::string whole = ct2_file(good);
  for (size_t cut : {size_t{3}, size_t{20}, size_t{40}, whole.size() / 2, whole.size() - 3}) refused(whole.substr(0, cut), "truncated");
  auto bad = good;
  bad[0].name = "x/y";
  refused(ct2_file(bad), "missing");
  bad = good;
  bad[2].shape[0] += 1;
  refused(ct2_file(bad), "needs");
  bad = good;
  bad.push_back(bad[3]);
  refused(ct2_file(bad), "two variables");
  bad = good;
  bad.back().data[0] = 2;
  refused(ct2_file(bad), "decoder/activation");
  for (Variable& v : bad = good) {
    if (v.name == "encoder/layer_0/self_attention/linear_0/bias") v.data[static_cast<size_t>(v.shape[0] / 3 * 2)] = 1;
  }
  refused(ct2_file(bad), "bias for keys");
}

TEST(CTranslate2, DamagedBytesNeverCrash) {
  const std::string whole = ct2_file(ct2_variables(*hub()));
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    std::string bytes = whole;
    for (int i = 0; i < 4; ++i) bytes[random.below(i < 2 ? 400 : bytes.size())] = static_cast<char>(random.below(256));
    ModelFile file;
    static_cast<void>(parse_ctranslate2(as_bytes(bytes), &file).ok());
  }
}

// openai/whisper's name of a hub's tensor.
std::string openai_name(std::string name) {
  const std::pair<const char*, const char*> parts[] = {
      {"model.", ""}, {".layers.", ".blocks."}, {"encoder.embed_positions.weight", "encoder.positional_embedding"}, {"decoder.embed_positions.weight", "decoder.positional_embedding"},
      {"embed_tokens", "token_embedding"}, {"self_attn_layer_norm", "attn_ln"}, {"encoder_attn_layer_norm", "cross_attn_ln"}, {"final_layer_norm", "mlp_ln"},
      {"self_attn.", "attn."}, {"encoder_attn.", "cross_attn."}, {"q_proj", "query"}, {"k_proj", "key"}, {"v_proj", "value"}, {"out_proj", "out"},
      {"fc1", "mlp.0"}, {"fc2", "mlp.2"}, {"encoder.layer_norm", "encoder.ln_post"}, {"decoder.layer_norm", "decoder.ln"}};
  for (const auto& [from, to] : parts) {
    if (const size_t at = name.find(from); at != name.npos) name.replace(at, std::string_view(from).size(), to);
  }
  return name;
}

std::string bin_file(const ModelFile& file, int32_t vocabulary) {
  Bytes b;
  b.number(uint32_t{0x67676d6c});
  for (int32_t value : {vocabulary, 40, 48, 3, 2, 64, 48, 3, 2, 80, 1}) b.number(value);
  b.number(int32_t{80}).number(int32_t{2});
  for (int i = 0; i < 160; ++i) b.number(0.5f);
  b.number(int32_t{50257});
  for (int i = 0; i < 50257; ++i) b.number(uint32_t{1}).number(static_cast<char>('a' + i % 26));
  for (const auto& [name, view] : file.tensors) {
    const std::string to = openai_name(name);
    std::vector<int64_t> shape = shape_of(view);
    if (to.starts_with("encoder.conv") && to.ends_with("bias")) shape.push_back(1);
    b.number(static_cast<int32_t>(shape.size())).number(static_cast<int32_t>(to.size())).number(int32_t{1});
    for (auto size = shape.rbegin(); size != shape.rend(); ++size) b.number(static_cast<int32_t>(*size));
    b.raw(to.data(), to.size()).raw(view.data, view.bytes);
  }
  return b.out;
}

Result<std::shared_ptr<ModelFile>> open_bin(const std::string& bytes) {
  const std::string path = fs::temp_directory_path() / fmt::format("verge-whisper-bin-{}.bin", getpid());
  std::ofstream(path, std::ios::binary) << bytes;
  auto map = MappedFile::open(path);
  fs::remove(path);
  if (!map) return map.error();
  return open_whisper_bin(*map);
}

TEST(WhisperBin, AFileOfItsOwnIsAModel) {
  const std::string path = fs::temp_directory_path() / fmt::format("verge-whisper-model-{}.bin", getpid());
  std::ofstream(path, std::ios::binary) << bin_file(*hub(), 51865);
  const auto file = open_container(path);
  fs::remove(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->architecture, "whisper");
}

TEST(WhisperBin, TensorsAreTheHubsAndSpecialTokensFollow) {
  const auto wanted = hub();
  const std::string bytes = bin_file(*wanted, 51865);
  EXPECT_TRUE(is_whisper_bin(as_bytes(bytes)));
  auto file = open_bin(bytes);
  ASSERT_TRUE(file) << file.error().message;
  expect_equal(**file, *wanted);
  const auto& tokens = std::get<std::vector<std::string>>((*file)->meta.at("tokens"));
  ASSERT_EQ(tokens.size(), 51865u);
  EXPECT_EQ(tokens[50257], "<|endoftext|>");
  EXPECT_EQ(tokens[50259], "<|en|>");
  EXPECT_EQ(tokens[50357], "<|su|>");
  EXPECT_EQ(tokens[50359], "<|transcribe|>");
  EXPECT_EQ(tokens[50363], "<|notimestamps|>");
  EXPECT_EQ(tokens[50364], "<|0.00|>");
  EXPECT_EQ(tokens[51864], "<|30.00|>");
}

TEST(WhisperBin, FilesThatLieAreRefused) {
  const auto wanted = hub();
  const std::string whole = bin_file(*wanted, 51865);
  for (size_t cut : {size_t{8}, size_t{60}, size_t{5000}, whole.size() / 2, whole.size() - 1}) {
    auto file = open_bin(whole.substr(0, cut));
    ASSERT_FALSE(file) << cut;
    EXPECT_EQ(file.error().code, Code::LoadFailed);
  }
  EXPECT_FALSE(open_bin(bin_file(*wanted, 600)));
  EXPECT_FALSE(open_bin(bin_file(*wanted, 51999)));
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    std::string bytes = whole;
    const size_t tensors = whole.size() - whole.size() / 3;
    for (int i = 0; i < 3; ++i) bytes[i < 1 ? random.below(50) : tensors + random.below(whole.size() - tensors)] = static_cast<char>(random.below(256));
    static_cast<void>(open_bin(bytes).ok());
  }
}

}  // namespace
}  // namespace verge::engine
