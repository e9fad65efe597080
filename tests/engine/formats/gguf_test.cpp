#include "engine/formats/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>

#include "support/json.h"
#include "support/limits.h"
#include "tests/engine/formats/gguf_bytes.h"
#include "tests/engine/formats/temporary_folder.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

using testing::GgufBytes;
using testing::TemporaryFolder;
constexpr uint32_t kF32 = 0, kQ4_0 = 2;

Result<> parse(const std::string& bytes, ModelFile* file) {
  // A copy of exactly the right length, so that the address sanitizer sees a read past the end.
  const std::vector<std::byte> copy(reinterpret_cast<const std::byte*>(bytes.data()), reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size());
  return parse_gguf(copy, "hostile.gguf", file);
}

// The error of a file that must be refused; it names the file and has the code LoadFailed.
std::string refusal(const std::string& bytes) {
  ModelFile file;
  const auto result = parse(bytes, &file);
  if (result.ok()) return "accepted";
  EXPECT_EQ(result.error().code, Code::LoadFailed);
  EXPECT_NE(result.error().message.find("hostile.gguf"), std::string::npos) << result.error().message;
  return result.error().message;
}

#define EXPECT_REFUSED(bytes, what) EXPECT_NE(refusal(bytes).find(what), std::string::npos) << refusal(bytes)

GgufBytes small() {
  GgufBytes file(2, 5);
  file.string_value("general.architecture", "llama");
  file.u32_value("llama.block_count", 3);
  file.key("llama.rope.freq_base", GgufBytes::F32).put(10000.f);
  file.key("tokenizer.ggml.tokens", GgufBytes::Array).put<uint32_t>(GgufBytes::String).put<uint64_t>(2).text("a").text("b");
  file.key("flags", GgufBytes::Array).put<uint32_t>(GgufBytes::Bool).put<uint64_t>(2).put<uint8_t>(1).put<uint8_t>(0);
  file.tensor("a.weight", {8, 3}, kF32, 0);
  file.tensor("b.weight", {64}, kQ4_0, 96);
  return file.data(96 + 36, 32, 1);
}

TEST(Gguf, ReadsMetadataAndTensors) {
  TemporaryFolder folder;
  const std::string path = folder.write("small.gguf", small().bytes);
  auto opened = open_container(path);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const ModelFile& file = **opened;
  EXPECT_EQ(file.format, "gguf");
  EXPECT_EQ(file.architecture, "llama");
  EXPECT_EQ(file.integer("block_count"), 3);
  EXPECT_EQ(file.number("block_count"), 3.0);
  EXPECT_EQ(file.number("rope.freq_base"), 10000.0);
  EXPECT_EQ(file.integer("rope.freq_base"), std::nullopt);
  EXPECT_EQ(file.integer("llama.block_count"), std::nullopt);
  ASSERT_TRUE(file.array<std::string>("tokenizer.ggml.tokens"));
  EXPECT_EQ(file.array<std::string>("tokenizer.ggml.tokens")->at(1), "b");
  ASSERT_TRUE(file.array<int64_t>("flags"));
  EXPECT_EQ(file.array<int64_t>("flags")->at(0), 1);
  const TensorView& a = file.tensors.at("a.weight");
  EXPECT_EQ(to_string(a), "F32 {3, 8}");
  EXPECT_EQ(file.tensors.at("b.weight").bytes, 36u);
  EXPECT_EQ(file.tensors.at("b.weight").data - a.data, 96);
}

TEST(Gguf, RealVocabulariesOpen) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(verge::test_data_folder()) + "/tokenizers")) {
    if (entry.path().extension() != ".gguf") continue;
    auto file = open_container(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_FALSE((*file)->architecture.empty());
    EXPECT_GT((*file)->array<std::string>("tokenizer.ggml.tokens")->size(), 1000u);
    ++files;
  }
  EXPECT_GE(files, 5);
}

TEST(Gguf, StopIdsComeFromMetadataAndControlTokens) {
  GgufBytes bytes(0, 4);
  bytes.string_value("general.architecture", "qwen2");
  bytes.u32_value("tokenizer.ggml.eos_token_id", 2);
  bytes.key("tokenizer.ggml.tokens", GgufBytes::Array).put<uint32_t>(GgufBytes::String).put<uint64_t>(4);
  bytes.text("<|im_end|>").text("<|endoftext|>").text("</s>").text("<|eot_id|>");
  bytes.key("tokenizer.ggml.token_type", GgufBytes::Array).put<uint32_t>(GgufBytes::I32).put<uint64_t>(4);
  bytes.put<int32_t>(3).put<int32_t>(1).put<int32_t>(3).put<int32_t>(4);  // the second is ordinary text
  TemporaryFolder folder;
  auto file = open_container(folder.write("vocabulary.gguf", bytes.bytes));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->stop_ids, (std::vector<int32_t>{2, 0, 3}));
}

// The first 512 values of each reference file's token table, bit for bit as gguf's Python package reads them.
TEST(Gguf, DequantisesAsTheReferenceImplementation) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(verge::test_data_folder()) + "/reference/quant")) {
    if (entry.path().extension() != ".gguf") continue;
    auto file = open_container(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.error().message;
    std::ifstream in(std::filesystem::path(entry.path()).replace_extension(".json"));
    const auto expected = parse_json(std::string(std::istreambuf_iterator<char>(in), {}));
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    const json::array& table = *get_array(expected->get_object(), "table");
    std::vector<float> values(table.size());
    dequantize((*file)->tensors.at("token_embd.weight"), 0, static_cast<int64_t>(values.size()), values.data());
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], table[i].to_number<float>()) << entry.path() << " element " << i;
    ++files;
  }
  EXPECT_EQ(files, 15);
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string whole = small().bytes;
  ASSERT_EQ(refusal(whole), "accepted");
  for (size_t length = 0; length < whole.size(); ++length) EXPECT_NE(refusal(whole.substr(0, length)), "accepted") << length;
}

TEST(Gguf, EveryChangedByteIsHandled) {
  const std::string whole = small().bytes;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (char value : {'\0', '\x7f', '\xff', static_cast<char>(whole[at] ^ 1)}) {
      std::string changed = whole;
      changed[at] = value;
      ModelFile file;
      (void)parse(changed, &file);  // no crash, no read past the end
      for (const auto& [name, tensor] : file.tensors) EXPECT_LE(tensor.bytes, whole.size()) << name;
    }
  }
}

TEST(Gguf, TruncatedRealFile) {
  std::ifstream in(std::string(verge::test_data_folder()) + "/models/stories260K/stories260K-f32.gguf", std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  ASSERT_EQ(refusal(whole), "accepted");
  for (size_t i = 1; i < 60; ++i) EXPECT_NE(refusal(whole.substr(0, whole.size() * i / 60)), "accepted") << i;
  EXPECT_NE(refusal(whole.substr(0, whole.size() - 1)), "accepted");
}

TEST(Gguf, VersionsAndMagic) {
  EXPECT_REFUSED("", "truncated");
  EXPECT_REFUSED(std::string("GGML\3\0\0\0", 8), "not a GGUF");
  EXPECT_REFUSED(GgufBytes(0, 0, 1).bytes, "version 1 is not supported");
  EXPECT_REFUSED(GgufBytes(0, 0, 4).bytes, "version 4 is not supported");
  EXPECT_REFUSED(GgufBytes(0, 0, 3u << 24).bytes, "big-endian");
  EXPECT_EQ(refusal(GgufBytes(0, 0, 2).bytes), "accepted");
}

TEST(Gguf, HostileCounts) {
  EXPECT_REFUSED(GgufBytes(UINT64_MAX, 0).bytes, "tensors, limit");
  EXPECT_REFUSED(GgufBytes(0, UINT64_MAX).bytes, "metadata values, limit");
  EXPECT_REFUSED(GgufBytes(100'000, 0).bytes, "truncated");
  EXPECT_REFUSED(GgufBytes(0, 60'000).bytes, "truncated");
}

TEST(Gguf, HostileStrings) {
  EXPECT_REFUSED(GgufBytes(0, 1).put<uint64_t>(UINT64_MAX).bytes, "limit");
  EXPECT_REFUSED(GgufBytes(0, 1).put<uint64_t>(1000).bytes, "past the end");
  EXPECT_REFUSED(GgufBytes(0, 1).key("k", GgufBytes::String).put<uint64_t>(UINT64_MAX - 7).bytes, "limit");
  EXPECT_REFUSED(GgufBytes(0, 1).key("k", GgufBytes::String).put<uint64_t>(limits::kMetadataStringBytes).bytes, "past the end");
  EXPECT_REFUSED(GgufBytes(0, 1).key("", GgufBytes::U8).put<uint8_t>(0).bytes, "not printable");
  EXPECT_REFUSED(GgufBytes(0, 1).key("\xff\xfe", GgufBytes::U8).put<uint8_t>(0).bytes, "not printable");
  EXPECT_REFUSED(GgufBytes(0, 1).key(std::string_view("a\0b", 3), GgufBytes::U8).put<uint8_t>(0).bytes, "not printable");
}

TEST(Gguf, HostileArrays) {
  const auto array = [](uint32_t kind, uint64_t count) { return GgufBytes(0, 1).key("k", GgufBytes::Array).put(kind).put(count); };
  EXPECT_REFUSED(array(GgufBytes::Array, 1).bytes, "array of arrays");
  EXPECT_REFUSED(array(13, 1).bytes, "unknown type");
  EXPECT_REFUSED(array(GgufBytes::U8, UINT64_MAX).bytes, "limit");
  EXPECT_REFUSED(array(GgufBytes::U64, UINT64_MAX / 8 + 2).bytes, "limit");
  EXPECT_REFUSED(array(GgufBytes::U64, limits::kMetadataArrayItems).bytes, "past the end");
  EXPECT_REFUSED(array(GgufBytes::String, limits::kMetadataArrayItems).data(4000).bytes, "past the end");
}

// NaN is no value; a byte-order mark before a text is none of it.
TEST(Gguf, ValuesAsConvertersLeaveThem) {
  GgufBytes bytes(0, 4);
  bytes.string_value("general.architecture", "\xEF\xBB\xBFllama")
      .string_value("tokenizer.chat_template", "\xEF\xBB\xBFT");
  bytes.key("llama.x", GgufBytes::F32)
      .put(std::nanf(""))
      .key("llama.y", GgufBytes::F64)
      .put(std::numeric_limits<double>::infinity());
  ModelFile file;
  const std::string& text = bytes.data(0).bytes;
  auto parsed =
      parse_gguf({reinterpret_cast<const std::byte*>(text.data()), text.size()}, "x.gguf", &file);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.text("tokenizer.chat_template"), "T");
  EXPECT_FALSE(file.meta.contains("llama.x") || file.meta.contains("llama.y"));
}

TEST(Gguf, HostileValues) {
  EXPECT_REFUSED(GgufBytes(0, 1).key("k", static_cast<GgufBytes::Kind>(99)).bytes, "unknown type 99");
  EXPECT_REFUSED(GgufBytes(0, 1).key("k", GgufBytes::U64).put(UINT64_MAX).bytes, "too large");
  EXPECT_REFUSED(GgufBytes(0, 1).key("k", GgufBytes::Bool).put<uint8_t>(2).bytes, "boolean");
  EXPECT_REFUSED(GgufBytes(0, 2).u32_value("k", 1).u32_value("k", 2).bytes, "appears twice");
}

TEST(Gguf, HostileAlignment) {
  for (uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 1u << 31}) {
    EXPECT_REFUSED(GgufBytes(0, 1).u32_value("general.alignment", alignment).bytes, "general.alignment") << alignment;
  }
  EXPECT_REFUSED(GgufBytes(0, 1).string_value("general.alignment", "32").bytes, "general.alignment");
  GgufBytes wide(1, 1);
  wide.u32_value("general.alignment", 4096).tensor("t", {8}, kF32, 0).data(32, 4096);
  EXPECT_EQ(refusal(wide.bytes), "accepted");
}

TEST(Gguf, HostileTensors) {
  const auto one = [](const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
    return GgufBytes(1, 0).tensor("t", dims, type, offset).data(256).bytes;
  };
  EXPECT_EQ(refusal(one({64}, kF32, 0)), "accepted");
  EXPECT_REFUSED(one({}, kF32, 0), "0 dimensions");
  EXPECT_REFUSED(one({1, 1, 1, 1, 1}, kF32, 0), "5 dimensions");
  EXPECT_REFUSED(one({8, 0}, kF32, 0), "size 0");
  EXPECT_REFUSED(one({uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 0), "too many elements");
  EXPECT_REFUSED(one({UINT64_MAX, 2}, kF32, 0), "too many elements");
  EXPECT_REFUSED(one({uint64_t{1} << 62, 4}, kF32, 0), "too many elements");
  EXPECT_REFUSED(one({0x7ff8000000000000}, kF32, 0), "too many elements");  // the bits of a NaN
  EXPECT_REFUSED(one({uint64_t{1} << 54}, kF32, 0), "past the end");
  EXPECT_REFUSED(one({65}, kF32, 0), "past the end");
  EXPECT_REFUSED(one({64}, kF32, 32), "past the end");
  EXPECT_REFUSED(one({64}, kF32, UINT64_MAX - 31), "past the end");
  EXPECT_REFUSED(one({64}, kF32, 4), "not aligned");
  EXPECT_REFUSED(one({33}, kQ4_0, 0), "not a multiple of Q4_0's block");
  for (uint32_t type : {10, 11, 16, 17, 18, 19, 20, 21, 22, 23, 29, 34, 35, 39}) EXPECT_EQ(refusal(one({256}, type, 0)), "accepted") << type;
  EXPECT_REFUSED(one({256}, 9, 0), "'t' is of type Q8_1, which is not supported");
  EXPECT_REFUSED(one({256}, 4, 0), "unknown type 4");
  EXPECT_REFUSED(one({256}, UINT32_MAX, 0), "unknown type");
  EXPECT_REFUSED(GgufBytes(1, 0).tensor("\xc3\x28", {8}, kF32, 0).data(32).bytes, "not printable");
  EXPECT_REFUSED(GgufBytes(1, 0).tensor(std::string(300, 'n'), {8}, kF32, 0).data(32).bytes, "limit");
  EXPECT_REFUSED(GgufBytes(2, 0).tensor("t", {8}, kF32, 0).tensor("t", {8}, kF32, 32).data(64).bytes, "appears twice");
  EXPECT_REFUSED(GgufBytes(2, 0).tensor("t", {16}, kF32, 0).tensor("u", {8}, kF32, 32).data(64).bytes, "overlap");
  EXPECT_REFUSED(GgufBytes(1, 0).tensor("t", {8}, kF32, 0).bytes, "truncated");
}

TEST(Gguf, AFileNeedsAnArchitecture) {
  TemporaryFolder folder;
  auto file = open_container(folder.write("bare.gguf", GgufBytes(0, 0).bytes));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, Code::LoadFailed);
  EXPECT_NE(file.error().message.find("bare.gguf: no general.architecture"), std::string::npos);
}

TEST(Gguf, AKeyWithAndWithoutPrefixIsRefused) {
  TemporaryFolder folder;
  GgufBytes bytes(0, 3);
  bytes.string_value("general.architecture", "llama").u32_value("llama.block_count", 1).u32_value("block_count", 2);
  auto file = open_container(folder.write("twice.gguf", bytes.bytes));
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("'block_count' appears twice"), std::string::npos);
}

std::string part(uint16_t number, uint16_t count, std::string_view tensor, uint32_t total) {
  GgufBytes bytes(1, number == 0 ? 4 : 2);
  if (number == 0) bytes.string_value("general.architecture", "llama").key("split.tensors.count", GgufBytes::I32).put(total);
  bytes.key("split.no", GgufBytes::U16).put(number).key("split.count", GgufBytes::U16).put(count);
  return bytes.tensor(tensor, {8}, kF32, 0).data(32, 32, static_cast<char>('a' + number)).bytes;
}

TEST(GgufSplit, PartsAreFoundBesideTheFirst) {
  TemporaryFolder folder;
  const std::string first = folder.write("m-00001-of-00003.gguf", part(0, 3, "x", 3));
  folder.write("m-00002-of-00003.gguf", part(1, 3, "y", 3));
  folder.write("m-00003-of-00003.gguf", part(2, 3, "z", 3));
  auto file = open_container(first);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->tensors.size(), 3u);
  EXPECT_EQ((*file)->maps.size(), 3u);
  EXPECT_EQ((*file)->tensors.at("z").data[0], std::byte{'c'});
}

TEST(GgufSplit, FaultsNameThePart) {
  TemporaryFolder folder;
  const auto error = [&](const std::string& path) {
    auto file = open_container(path);
    return file.ok() ? std::string("accepted") : file.error().message;
  };
  const std::string first = folder.write("m-00001-of-00002.gguf", part(0, 2, "x", 2));
  EXPECT_NE(error(first).find("m-00002-of-00002.gguf: cannot open"), std::string::npos);
  const std::string second = folder.write("m-00002-of-00002.gguf", part(1, 2, "x", 2));
  EXPECT_NE(error(first).find("'x' appears twice"), std::string::npos);
  EXPECT_NE(error(second).find("open the first part"), std::string::npos);
  folder.write("m-00002-of-00002.gguf", part(1, 3, "y", 2));
  EXPECT_NE(error(first).find("not part 2 of 2"), std::string::npos);
  folder.write("m-00002-of-00002.gguf", part(1, 2, "y", 2).substr(0, 60));
  EXPECT_NE(error(first).find("m-00002-of-00002.gguf: truncated"), std::string::npos);
  folder.write("m-00002-of-00002.gguf", part(1, 2, "y", 2));
  EXPECT_EQ(error(first), "accepted");
  folder.write("m-00001-of-00002.gguf", part(0, 2, "x", 5));
  EXPECT_NE(error(first).find("expected 5"), std::string::npos);
  EXPECT_NE(error(folder.write("other.gguf", part(0, 2, "x", 2))).find("must be named"), std::string::npos);
}

TEST(OpenModelFile, OtherContentIsRefused) {
  TemporaryFolder folder;
  for (const char* content : {"", "hello, this is text", "GGU"}) {
    auto file = open_container(folder.write("x.gguf", content));
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.error().code, Code::LoadFailed) << content;
    EXPECT_NE(file.error().message.find("x.gguf"), std::string::npos);
  }
  auto missing = open_container(folder.path("missing.gguf"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::Io);
  auto device = open_container("/dev/zero");
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.error().code, Code::LoadFailed);
}

}  // namespace
}  // namespace verge::engine
