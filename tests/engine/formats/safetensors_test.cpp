#include "engine/formats/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <vector>

#include "support/limits.h"
#include "tests/engine/formats/safetensors_bytes.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

using testing::safetensors_bytes;

auto parse(const std::string& bytes) {
  // A copy of exactly the right length, so that the address sanitizer sees a read past the end.
  const std::vector<std::byte> copy(reinterpret_cast<const std::byte*>(bytes.data()), reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size());
  return parse_safetensors(copy, "hostile.safetensors");
}

std::string refusal(const std::string& bytes) {
  const auto result = parse(bytes);
  if (result.ok()) return "accepted";
  EXPECT_EQ(result.error().code, Code::LoadFailed);
  EXPECT_NE(result.error().message.find("hostile.safetensors"), std::string::npos) << result.error().message;
  return result.error().message;
}

#define EXPECT_REFUSED(bytes, what) EXPECT_NE(refusal(bytes).find(what), std::string::npos) << refusal(bytes)

const char kSmall[] = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                      R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"s":{"dtype":"F32","shape":[],"data_offsets":[32,36]}})";

TEST(Safetensors, ReadsNamesShapesAndPlaces) {
  const auto tensors = parse(safetensors_bytes(kSmall, 36));
  ASSERT_TRUE(tensors.ok()) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 3u);
  EXPECT_EQ(to_string(tensors->at("a")), "F32 {2, 3}");
  EXPECT_EQ(to_string(tensors->at("b")), "BF16 {4}");
  EXPECT_EQ(tensors->at("b").data - tensors->at("a").data, 24);
  EXPECT_EQ(tensors->at("s").rank, 0);
  EXPECT_EQ(tensors->at("s").elements(), 1);
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = safetensors_bytes(kSmall, 36);
  ASSERT_EQ(refusal(whole), "accepted");
  for (size_t length = 0; length < whole.size(); ++length) EXPECT_NE(refusal(whole.substr(0, length)), "accepted") << length;
}

TEST(Safetensors, EveryChangedByteIsHandled) {
  const std::string whole = safetensors_bytes(kSmall, 36);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (char value : {'\0', '9', '\x7f', '\xff', '{', ']'}) {
      std::string changed = whole;
      changed[at] = value;
      const auto tensors = parse(changed);
      if (!tensors.ok()) continue;
      for (const auto& [name, tensor] : *tensors) EXPECT_LE(tensor.bytes, whole.size()) << name;
    }
  }
}

TEST(Safetensors, HostileHeaders) {
  std::string length(8, '\xff');
  EXPECT_REFUSED(length, "limit");
  const uint64_t large = limits::kSafetensorsHeaderBytes;
  std::memcpy(length.data(), &large, 8);
  EXPECT_REFUSED(length + "{}", "past the end");
  EXPECT_REFUSED(safetensors_bytes("", 0), "bad header");
  EXPECT_REFUSED(safetensors_bytes("[]", 0), "not an object");
  EXPECT_REFUSED(safetensors_bytes("{", 0), "bad header");
  EXPECT_REFUSED(safetensors_bytes("{} x", 0), "bad header");
  EXPECT_REFUSED(safetensors_bytes(R"({"a":1})", 0), "'a' is not described by an object");
  EXPECT_REFUSED(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[[[[1]]]],"data_offsets":[0,4]}})", 4), "nested deeper");
  EXPECT_REFUSED(safetensors_bytes(std::string(100'000, '['), 0), "nested deeper");
  EXPECT_REFUSED(safetensors_bytes("{\"\xff\":{}}", 0), "bad header");
  EXPECT_REFUSED(safetensors_bytes(R"({"\u0001":{}})", 0), "not printable");
  EXPECT_REFUSED(safetensors_bytes("{\"" + std::string(1000, 'n') + "\":{}}", 0), "too long");
}

TEST(Safetensors, HostileTensors) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return safetensors_bytes(R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", 64);
  };
  EXPECT_EQ(refusal(one("F32", "[4,4]", "[0,64]")), "accepted");
  EXPECT_REFUSED(one("F8_E4M3", "[4]", "[0,4]"), "'t' is of dtype F8_E4M3");
  EXPECT_REFUSED(one("F32", "[4,0]", "[0,0]"), "size 0");
  EXPECT_REFUSED(one("F32", "[-4]", "[0,16]"), "bad shape");
  EXPECT_REFUSED(one("F32", "[4.5]", "[0,16]"), "bad shape");
  EXPECT_REFUSED(one("F32", "[1,1,1,1,1]", "[0,4]"), "bad shape");
  EXPECT_REFUSED(one("F32", "[4294967296,4294967296]", "[0,64]"), "too many elements");
  EXPECT_REFUSED(one("F32", "[18446744073709551615]", "[0,64]"), "too many elements");
  EXPECT_REFUSED(one("F32", "[1e3]", "[0,64]"), "bad shape");
  EXPECT_REFUSED(one("F32", "[4]", "[0,20]"), "needs 16 bytes, has 20");
  EXPECT_REFUSED(one("F32", "[4]", "[16,0]"), "past the end");
  EXPECT_REFUSED(one("F32", "[4]", "[56,72]"), "past the end");
  EXPECT_REFUSED(one("F32", "[4]", "[18446744073709551600,18446744073709551615]"), "past the end");
  EXPECT_REFUSED(one("F32", "[4]", "[-16,0]"), "bad data_offsets");
  EXPECT_REFUSED(one("F32", "[4]", "[0]"), "bad data_offsets");
  EXPECT_REFUSED(safetensors_bytes(R"({"t":{"shape":[1],"data_offsets":[0,4]}})", 4), "no dtype");
  EXPECT_REFUSED(safetensors_bytes(R"({"t":{"dtype":"I8","shape":[8],"data_offsets":[0,8]},"u":{"dtype":"I8","shape":[8],"data_offsets":[7,15]}})", 64), "overlap");
}

TEST(Safetensors, ARepeatedNameIsRefused) {
  EXPECT_REFUSED(safetensors_bytes(R"({"t":{"dtype":"I8","shape":[8],"data_offsets":[0,8]},"t":{"dtype":"I8","shape":[8],"data_offsets":[8,16]}})", 64), "twice");
}

TEST(Safetensors, RealFile) {
  std::ifstream in(std::string(verge::test_data_folder()) + "/models/stories260K/model.safetensors", std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  EXPECT_EQ(refusal(whole), "accepted");
  for (size_t i = 1; i < 60; ++i) EXPECT_NE(refusal(whole.substr(0, whole.size() * i / 60)), "accepted") << i;
}

}  // namespace
}  // namespace verge::engine
