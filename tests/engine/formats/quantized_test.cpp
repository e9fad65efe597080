#include "engine/formats/quantized.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "engine/formats/quantize.h"
#include "engine/tensor.h"
#include "support/base64.h"
#include "support/json.h"
#include "tests/engine/random_blocks.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

TensorView view(DType type, const std::vector<std::byte>& bytes, int64_t elements) {
  return {type, 1, {elements, 1, 1, 1}, bytes.data(), bytes.size()};
}

template <class Block>
std::vector<float> expand(DType type, const Block& block) {
  std::vector<std::byte> bytes(sizeof(Block));
  std::memcpy(bytes.data(), &block, sizeof(Block));
  std::vector<float> out(static_cast<size_t>(info(type).block));
  dequantize(view(type, bytes, info(type).block), 0, info(type).block, out.data());
  return out;
}

TEST(HalfFloat, EveryF16RoundTrips) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float f = f16_to_f32(static_cast<uint16_t>(h));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f))));
    }
    else ASSERT_EQ(f32_to_f16(f), h);
  }
  EXPECT_EQ(f16_to_f32(0x3c00), 1.f);
  EXPECT_EQ(f16_to_f32(0xc000), -2.f);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x7bff), 65504.f);
  EXPECT_TRUE(std::signbit(f16_to_f32(0x8000)));
}

TEST(HalfFloat, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(1.f + 0x1p-11f), 0x3c00);               // tie: to even, down
  EXPECT_EQ(f32_to_f16(1.f + 0x1p-10f + 0x1p-11f), 0x3c02);    // tie: to even, up
  EXPECT_EQ(f32_to_f16(1.f + 0x1p-11f + 0x1p-20f), 0x3c01);
  EXPECT_EQ(f32_to_f16(65519.f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.f), 0x7c00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);                     // tie between 0 and the least subnormal
  EXPECT_EQ(f32_to_f16(0x1.8p-25f), 0x0001);
  EXPECT_EQ(f32_to_bf16(1.f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(1.f + 0x1p-7f + 0x1p-8f), 0x3f82);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::nanf("")))));
}

// Hand-computed blocks: one known code at a chosen place, so that a swapped nibble or bit shows.
TEST(Dequantize, Q4_0Nibbles) {
  BlockQ4_0 b{0x3c00, {}};  // d = 1
  std::memset(b.qs, 0x88, sizeof(b.qs));
  b.qs[3] = 0xf1;
  auto y = expand(DType::Q4_0, b);
  EXPECT_EQ(y[3], -7);
  EXPECT_EQ(y[19], 7);
  EXPECT_EQ(y[0], 0);
}

TEST(Dequantize, Q5_1HighBits) {
  BlockQ5_1 b{0x3c00, 0xc000, {0x02, 0, 0x04, 0}, {}};  // d = 1, m = -2; fifth bits of elements 1 and 18
  b.qs[1] = 0x03;
  b.qs[2] = 0x50;
  auto y = expand(DType::Q5_1, b);
  EXPECT_EQ(y[1], 16 + 3 - 2);
  EXPECT_EQ(y[18], 16 + 5 - 2);
  EXPECT_EQ(y[0], -2);
}

TEST(Dequantize, Q4_KScalesAndMins) {
  BlockQ4_K b{};
  b.d = 0x3c00;
  b.dmin = 0x3c00;
  b.scales[1] = 5 | 0x80;   // scale of sub-block 1 = 5; two high bits (2) of scale of sub-block 5
  b.scales[5] = 9 | 0x40;   // min of sub-block 1 = 9; two high bits (1) of min of sub-block 5
  b.scales[9] = 0x37;       // sub-block 5: low bits of scale 7, of min 3
  b.qs[0] = 0xa0;           // element 0 of sub-block 1: 10
  b.qs[64 + 31] = 0xb0;     // element 31 of sub-block 5: 11
  auto y = expand(DType::Q4_K, b);
  EXPECT_EQ(y[32], 5 * 10 - 9);
  EXPECT_EQ(y[33], -9);
  EXPECT_EQ(y[32 * 5 + 31], (7 + 32) * 11 - (3 + 16));
  EXPECT_EQ(y[0], 0);
}

TEST(Dequantize, Q6_KLayout) {
  BlockQ6_K b{};
  b.d = 0x3c00;
  for (int i = 0; i < 16; ++i) b.scales[i] = static_cast<int8_t>(i - 8);
  b.ql[64 + 32 + 5] = 0xc0;  // second half, quarter 3, lane 5: low four bits 12
  b.qh[32 + 5] = 0x80;       // and its two high bits: 2
  auto y = expand(DType::Q6_K, b);
  EXPECT_EQ(y[128 + 96 + 5], (14 - 8) * (12 + 32 - 32));
  EXPECT_EQ(y[0], -8 * -32);
}

class EveryType : public testing::TestWithParam<DType> {};

TEST_P(EveryType, QuantiseThenDequantiseIsClose) {
  const DType type = GetParam();
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.f, 0.05f);
  std::vector<float> x(2048);
  for (float& v : x) v = normal(random);
  for (size_t i = 512; i < 768; ++i) x[i] = 0;           // a block of zeros
  for (size_t i = 768; i < 1024; ++i) x[i] = -0.25f;     // a constant negative one
  const auto bytes = quantize(type, x);
  ASSERT_EQ(bytes.size(), x.size() / static_cast<size_t>(info(type).block) * static_cast<size_t>(info(type).block_bytes));
  std::vector<float> y(x.size());
  dequantize(view(type, bytes, static_cast<int64_t>(x.size())), 0, static_cast<int64_t>(x.size()), y.data());
  double error = 0, power = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += (x[i] - y[i]) * (x[i] - y[i]);
    power += x[i] * x[i];
  }
  const double bits = 8.0 * info(type).block_bytes / info(type).block;
  const double allowed = type == DType::F32 ? 0 : bits > 8 ? 0.01 : bits > 6.3 ? 0.02 : bits > 5.2 ? 0.06 : 0.12;
  EXPECT_LE(std::sqrt(error / power), allowed);
  for (size_t i = 512; i < 768; ++i) ASSERT_NEAR(y[i], 0, 1e-7);
}

TEST_P(EveryType, PartsEqualTheWhole) {
  const DType type = GetParam();
  std::vector<float> x(1024);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  const auto bytes = quantize(type, x);
  const TensorView tensor = view(type, bytes, 1024);
  std::vector<float> whole(1024), part(1024);
  dequantize(tensor, 0, 1024, whole.data());
  for (int64_t first = 0; first < 1024; first += 256) {
    const int64_t count = first == 256 ? 200 : 256;  // also a count that ends inside a block
    std::fill(part.begin(), part.end(), -99.f);
    dequantize(tensor, first, count, part.data());
    for (int64_t i = 0; i < count; ++i) ASSERT_EQ(part[static_cast<size_t>(i)], whole[static_cast<size_t>(first + i)]);
    ASSERT_EQ(part[static_cast<size_t>(count)], -99.f) << "wrote past count";
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EveryType,
                         testing::Values(DType::F32, DType::F16, DType::BF16, DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::Q8_0,
                                         DType::Q4_K, DType::Q5_K, DType::Q6_K),
                         [](const auto& p) { return std::string(engine::info(p.param).name); });

// Every bit is that of the gguf package: scripts/quant_blocks_reference.py.
TEST(Dequantize, SmallTypesAsThePackageReadsThem) {
  std::ifstream file(std::string(test_data_folder()) + "/reference/quant/blocks.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const json::value all = json::parse(text);
  int types = 0;
  for (int number = 0; number < kDTypes; ++number) {
    const DType type = static_cast<DType>(number);
    if (has_quantizer(type)) continue;
    ++types;
    SCOPED_TRACE(info(type).name);
    const json::value& one = all.at(info(type).name);
    const std::string blocks = base64_decode(one.at("blocks").as_string()).value();
    const std::string expected = base64_decode(one.at("values").as_string()).value();
    const auto elements = static_cast<int64_t>(expected.size() / 4);
    ASSERT_EQ(blocks.size(), static_cast<size_t>(elements / info(type).block * info(type).block_bytes));
    const TensorView tensor{type, 1, {elements, 1, 1, 1}, reinterpret_cast<const std::byte*>(blocks.data()), blocks.size()};
    std::vector<float> values(static_cast<size_t>(elements)), wanted(values.size());
    dequantize(tensor, 0, elements, values.data());
    std::memcpy(wanted.data(), expected.data(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(wanted[i])) << "element " << i;
  }
  EXPECT_EQ(types, static_cast<int>(all.as_object().size()));
}

TEST(Quantize, IntegersClamp) {
  const float x[] = {1.4f, -3.6f, 300.f, -300.f};
  const auto bytes = quantize(DType::I8, x);
  float y[4];
  dequantize(view(DType::I8, bytes, 4), 0, 4, y);
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], -4);
  EXPECT_EQ(y[2], 127);
  EXPECT_EQ(y[3], -128);
}

TEST(TensorText, NamesTypeAndShape) {
  TensorView t;
  t.type = DType::Q4_0;
  t.rank = 2;
  t.shape = {2048, 512, 1, 1};
  EXPECT_EQ(to_string(t), "Q4_0 {2048, 512}");
}

}  // namespace
}  // namespace verge::engine
