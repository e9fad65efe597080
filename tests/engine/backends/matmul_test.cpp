// Linear layers on every instruction set of this machine and every weight type, against naive loops in double
// over the dequantised weights and over activations rounded as the backend rounds them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/backends/cpu/isa.h"
#include "engine/formats/quantize.h"
#include "engine/formats/quantized.h"
#include "tests/engine/random_blocks.h"

namespace verge::engine {
namespace {

constexpr DType kTypes[] = {DType::F32,  DType::F16,  DType::BF16, DType::Q4_0, DType::Q4_1, DType::Q5_0,
                            DType::Q5_1, DType::Q8_0, DType::Q4_K, DType::Q5_K, DType::Q6_K,
                            DType::Q2_K, DType::Q3_K, DType::IQ1_S, DType::IQ1_M, DType::IQ2_XXS, DType::IQ2_XS,
                            DType::IQ2_S, DType::IQ3_XXS, DType::IQ3_S, DType::IQ4_NL, DType::IQ4_XS, DType::TQ1_0,
                            DType::TQ2_0, DType::MXFP4};

std::vector<float> random_values(size_t count, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Weight {
  std::vector<std::byte> bytes;
  TensorView view;
  std::vector<float> values;  // dequantised

  Weight(DType type, int64_t out, int64_t in, uint32_t seed) {
    bytes = has_quantizer(type) ? quantize(type, random_values(static_cast<size_t>(out * in), seed, 0.1f)) : random_blocks(type, out * in, seed);
    view.type = type;
    view.rank = 2;
    view.shape = {out, in, 1, 1};
    view.data = bytes.data();
    view.bytes = bytes.size();
    values.resize(static_cast<size_t>(out * in));
    dequantize(view, 0, out * in, values.data());
  }
};

std::unique_ptr<Backend> backend(const std::string& isa, int threads = 2) {
  auto made = make_cpu_backend({threads, isa});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

std::unique_ptr<Matrix> pack(Backend& backend, const Weight& weight, Precision precision = Precision::Native) {
  auto packed = backend.pack(weight.view, precision);
  EXPECT_TRUE(packed) << packed.error().message;
  return std::move(*packed);
}

// The activations that the products see: 8 bits per block of 32, bf16 or f32.
std::vector<float> rounded(std::span<const float> x, DType type, Precision precision) {
  std::vector<float> y(x.begin(), x.end());
  if (precision == Precision::F32 || type == DType::F32 || type == DType::F16) return y;
  if (type == DType::BF16) {
    for (float& value : y) value = bf16_to_f32(f32_to_bf16(value));
    return y;
  }
  for (size_t k = 0; k < y.size(); k += 32) {
    float most = 0;
    for (size_t j = k; j < k + 32; ++j) most = std::max(most, std::fabs(y[j]));
    const float d = most / 127, scale = most > 0 ? 127 / most : 0;
    for (size_t j = k; j < k + 32; ++j) y[j] = d * std::nearbyint(y[j] * scale);
  }
  return y;
}

struct Expected {
  double value = 0, magnitude = 0;  // magnitude: Σ |w·x|, the scale of rounding errors
};

Expected naive(const Weight& weight, std::span<const float> x, int64_t row) {
  Expected expected;
  for (size_t k = 0; k < x.size(); ++k) {
    const double product = static_cast<double>(weight.values[static_cast<size_t>(row) * x.size() + k]) * static_cast<double>(x[k]);
    expected.value += product;
    expected.magnitude += std::fabs(product);
  }
  return expected;
}

void expect_products(const Weight& weight, std::span<const float> x, int n, std::span<const float> y, Precision precision) {
  const int64_t out = weight.view.shape[0], in = weight.view.shape[1];
  for (int i = 0; i < n; ++i) {
    const auto seen = rounded(x.subspan(static_cast<size_t>(i * in), static_cast<size_t>(in)), weight.view.type, precision);
    for (int64_t o = 0; o < out; ++o) {
      const Expected expected = naive(weight, seen, o);
      ASSERT_NEAR(y[static_cast<size_t>(i * out + o)], expected.value, 1e-5 * expected.magnitude + 1e-12)
          << to_string(weight.view) << " row " << i << " output " << o << " of n = " << n;
    }
  }
}

class Matmul : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto isa = cpu::choose_isa(GetParam());
    if (!isa) GTEST_SKIP() << isa.error().message;
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, Matmul, testing::Values("base", "avx2", "avx512"), [](const auto& info) { return info.param; });

TEST_P(Matmul, EveryTypeAndShape) {
  auto cpu = backend(GetParam());
  for (DType type : kTypes) {
    for (int64_t in : {int64_t{256}, int64_t{512}, int64_t{info(type).block} * 5}) {
      for (int64_t out : {1, 16, 37, 130}) {
        const Weight weight(type, out, in, static_cast<uint32_t>(out + in));
        auto matrix = pack(*cpu, weight);
        EXPECT_EQ(matrix->bytes, cpu->packed_bytes(type, out, in, Precision::Native));
        for (int n : {1, 2, 3, 5, 8, 13}) {
          const auto x = random_values(static_cast<size_t>(n * in), 7);
          std::vector<float> y(static_cast<size_t>(n * out), NAN);
          const LinearOutput output{matrix.get(), nullptr, y.data(), false};
          cpu->linear(x.data(), n, {}, {&output, 1});
          expect_products(weight, x, n, y, Precision::Native);
        }
      }
    }
  }
}

// Plain types take rows of any length (the stories model has 64 and 172).
TEST_P(Matmul, OddRowLengths) {
  auto cpu = backend(GetParam());
  for (DType type : {DType::F32, DType::F16, DType::BF16}) {
    for (int64_t in : {1, 2, 63, 172, 301}) {
      const Weight weight(type, 20, in, 3);
      auto matrix = pack(*cpu, weight);
      const int n = 4;
      const auto x = random_values(static_cast<size_t>(n * in), 5);
      std::vector<float> y(static_cast<size_t>(n * 20));
      const LinearOutput output{matrix.get(), nullptr, y.data(), false};
      cpu->linear(x.data(), n, {}, {&output, 1});
      expect_products(weight, x, n, y, Precision::Native);
    }
  }
}

TEST_P(Matmul, F32PrecisionExpandsWeightsAndKeepsActivations) {
  auto cpu = backend(GetParam());
  for (DType type : kTypes) {
    const Weight weight(type, 40, 768, 11);
    auto matrix = pack(*cpu, weight, Precision::F32);
    const int n = 3;
    const auto x = random_values(n * 768, 12);
    std::vector<float> y(n * 40);
    const LinearOutput output{matrix.get(), nullptr, y.data(), false};
    cpu->linear(x.data(), n, {}, {&output, 1});
    expect_products(weight, x, n, y, Precision::F32);
  }
}

// The promise on which batching, prefill and replay rest: a row's bits depend on nothing but the row.
TEST_P(Matmul, RowHasTheSameBitsInAnyCall) {
  auto one = backend(GetParam(), 1), two = backend(GetParam(), 2), three = backend(GetParam(), 3);
  constexpr int kRows = 70;
  const int64_t in = 512, out = 144;  // nine groups, so that threads share them
  const auto x = random_values(kRows * in, 21);
  const auto weight_of_norm = random_values(in, 22);
  for (DType type : kTypes) {
    const Weight weight(type, out, in, 23);
    auto matrix = pack(*one, weight);
    for (const RmsNorm norm : {RmsNorm{}, RmsNorm{weight_of_norm.data(), 1e-5f}}) {
      std::vector<float> alone(kRows * out), y(kRows * out);
      for (int i = 0; i < kRows; ++i) {
        const LinearOutput output{matrix.get(), nullptr, alone.data() + i * out, false};
        one->linear(x.data() + i * in, 1, norm, {&output, 1});
      }
      for (int n = 1; n <= kRows; ++n) {
        Backend& cpu = n % 3 == 0 ? *one : n % 3 == 1 ? *two : *three;
        const int first = (kRows - n) / 2;  // another place in its panel each time
        const LinearOutput output{matrix.get(), nullptr, y.data(), false};
        cpu.linear(x.data() + first * in, n, norm, {&output, 1});
        ASSERT_EQ(0, std::memcmp(y.data(), alone.data() + first * out, static_cast<size_t>(n * out) * sizeof(float)))
            << info(type).name << " n = " << n << (norm.weight ? " with norm" : "");
      }
    }
  }
}

TEST_P(Matmul, SeveralOutputsOfMixedTypesEqualSingleCalls) {
  auto cpu = backend(GetParam());
  const int64_t in = 256;
  const Weight a(DType::Q4_K, 96, in, 1), b(DType::Q6_K, 33, in, 2), c(DType::F16, 50, in, 3), d(DType::BF16, 17, in, 4);
  const Weight* weights[] = {&a, &b, &c, &d};
  const auto norm_weight = random_values(in, 6);
  const auto bias = random_values(96, 7);
  for (int n : {1, 9, 40}) {
    const auto x = random_values(static_cast<size_t>(n * in), 8);
    std::vector<std::unique_ptr<Matrix>> matrices;
    std::vector<std::vector<float>> together, single;
    std::vector<LinearOutput> outputs;
    for (const Weight* weight : weights) {
      matrices.push_back(pack(*cpu, *weight));
      together.emplace_back(static_cast<size_t>(n * weight->view.shape[0]), 0.5f);
      single.push_back(together.back());
    }
    for (size_t i = 0; i < 4; ++i) outputs.push_back({matrices[i].get(), i == 0 ? bias.data() : nullptr, together[i].data(), i == 1});
    cpu->linear(x.data(), n, {norm_weight.data(), 1e-6f}, outputs);
    for (size_t i = 0; i < 4; ++i) {
      LinearOutput output = outputs[i];
      output.y = single[i].data();
      cpu->linear(x.data(), n, {norm_weight.data(), 1e-6f}, {&output, 1});
      EXPECT_EQ(0, std::memcmp(together[i].data(), single[i].data(), single[i].size() * sizeof(float))) << i;
    }
  }
}

TEST_P(Matmul, NormBiasAndSum) {
  auto cpu = backend(GetParam());
  const int64_t in = 96, out = 50;
  const int n = 11;
  const Weight weight(DType::F32, out, in, 31);
  auto matrix = pack(*cpu, weight);
  const auto x = random_values(n * in, 32), norm = random_values(in, 33), bias = random_values(out, 34), before = random_values(n * out, 35);
  std::vector<float> y = before;
  const LinearOutput output{matrix.get(), bias.data(), y.data(), true};
  cpu->linear(x.data(), n, {norm.data(), 1e-5f}, {&output, 1});
  for (int i = 0; i < n; ++i) {
    double squares = 0;
    for (int64_t k = 0; k < in; ++k) squares += std::pow(static_cast<double>(x[static_cast<size_t>(i * in + k)]), 2);
    std::vector<float> normed(in);
    for (size_t k = 0; k < static_cast<size_t>(in); ++k) {
      normed[k] = static_cast<float>(static_cast<double>(x[static_cast<size_t>(i * in) + k]) / std::sqrt(squares / in + 1e-5) * static_cast<double>(norm[k]));
    }
    for (int64_t o = 0; o < out; ++o) {
      const Expected expected = naive(weight, normed, o);
      const size_t at = static_cast<size_t>(i * out + o);
      EXPECT_NEAR(y[at], static_cast<double>(before[at]) + expected.value + static_cast<double>(bias[static_cast<size_t>(o)]), 1e-5 * (expected.magnitude + 2));
    }
  }
}

TEST_P(Matmul, GatedLinearIsActivationTimesUp) {
  auto one = backend(GetParam(), 1), two = backend(GetParam(), 2);
  const int64_t in = 256, ff = 299;
  const auto norm = random_values(in, 43);
  const Weight gate(DType::Q4_0, ff, in, 41), up(DType::Q8_0, ff, in, 42);
  auto gate_matrix = pack(*one, gate), up_matrix = pack(*one, up);
  constexpr int kRows = 21;
  const auto x = random_values(kRows * in, 44);
  std::vector<float> g(kRows * ff), u(kRows * ff), y(kRows * ff), again(kRows * ff);
  const LinearOutput outputs[] = {{gate_matrix.get(), nullptr, g.data(), false}, {up_matrix.get(), nullptr, u.data(), false}};
  one->linear(x.data(), kRows, {norm.data(), 1e-5f}, outputs);
  two->gated_linear(x.data(), kRows, {norm.data(), 1e-5f}, *gate_matrix, *up_matrix, Activation::Silu, y.data());
  for (size_t i = 0; i < y.size(); ++i) {
    const double expected = static_cast<double>(g[i]) / (1 + std::exp(-static_cast<double>(g[i]))) * static_cast<double>(u[i]);
    ASSERT_NEAR(y[i], expected, 1e-5 * std::fabs(expected) + 1e-7);
  }
  for (int i = 0; i < kRows; ++i) {
    one->gated_linear(x.data() + i * in, 1, {norm.data(), 1e-5f}, *gate_matrix, *up_matrix, Activation::Silu, again.data() + i * ff);
  }
  EXPECT_EQ(0, std::memcmp(y.data(), again.data(), y.size() * sizeof(float)));
}

// Extreme codes and activations: integer sums must not saturate in any instruction set.
TEST_P(Matmul, LargestCodesAndActivations) {
  auto cpu = backend(GetParam());
  const int64_t in = 256, out = 16;
  for (DType type : kTypes) {
    Weight weight(type, out, in, 51);
    if (!has_quantizer(type)) {
      const std::vector<std::byte> ones = blocks_of(type, out * in, 0.01f, [] { return uint8_t{0xff}; });
      std::ranges::copy(ones, weight.bytes.begin());
      dequantize(weight.view, 0, out * in, weight.values.data());
    } else if (info(type).block > 1) {
      for (int64_t block = 0; block < out * in / info(type).block; ++block) {  // all code bits set, scales kept
        std::byte* p = weight.bytes.data() + block * info(type).block_bytes;
        const auto fill = [&](size_t offset, size_t count, int value) { std::memset(p + offset, value, count); };
        switch (type) {
          case DType::Q4_0: fill(2, 16, 0xff); break;
          case DType::Q4_1: fill(4, 16, 0xff); break;
          case DType::Q5_0: fill(2, 20, 0xff); break;
          case DType::Q5_1: fill(4, 20, 0xff); break;
          case DType::Q8_0: fill(2, 32, block % 2 ? 0x80 : 0x7f); break;
          case DType::Q4_K: fill(16, 128, 0xff); break;
          case DType::Q5_K: fill(16, 160, 0xff); break;
          default: fill(0, 192, 0xff); break;
        }
      }
      dequantize(weight.view, 0, out * in, weight.values.data());
    }
    auto matrix = pack(*cpu, weight);
    for (float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(static_cast<size_t>(in), 3 * sign);
      std::vector<float> y(static_cast<size_t>(out));
      const LinearOutput output{matrix.get(), nullptr, y.data(), false};
      cpu->linear(x.data(), 1, {}, {&output, 1});
      expect_products(weight, x, 1, y, Precision::Native);
    }
  }
}

TEST_P(Matmul, ZeroAndTinyActivationsGiveZero) {
  auto cpu = backend(GetParam());
  for (DType type : {DType::Q4_1, DType::Q8_0, DType::Q6_K, DType::Q2_K, DType::IQ2_XS, DType::IQ4_XS}) {
    const Weight weight(type, 16, 256, 61);
    auto matrix = pack(*cpu, weight);
    for (float value : {0.0f, 1e-38f}) {
      const std::vector<float> x(256, value);
      std::vector<float> y(16, NAN);
      const LinearOutput output{matrix.get(), nullptr, y.data(), false};
      cpu->linear(x.data(), 1, {}, {&output, 1});
      for (float result : y) EXPECT_EQ(result, 0) << info(type).name;
    }
  }
}

TEST_P(Matmul, EmbedReadsRowsOfAnyType) {
  auto cpu = backend(GetParam());
  for (DType type : kTypes) {
    const Weight table(type, 30, 256, 71);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 25; ++i) tokens.push_back((i * 7) % 30);
    std::vector<float> x(tokens.size() * 256);
    cpu->embed(table.view, tokens, 2.5f, x.data());
    for (size_t i = 0; i < tokens.size(); ++i) {
      for (size_t j = 0; j < 256; ++j) ASSERT_EQ(x[i * 256 + j], table.values[static_cast<size_t>(tokens[i]) * 256 + j] * 2.5f);
    }
  }
}

// Small types stay small in memory: bits per weight of whole super-blocks (docs/operating.md lists them).
TEST(Pack, BytesOfSmallTypes) {
  auto cpu = backend("base", 1);
  const auto bits = [&](DType type) { return 8.0 * static_cast<double>(cpu->packed_bytes(type, 64, 512, Precision::Native)) / (64 * 512); };
  for (DType type : {DType::Q2_K, DType::TQ1_0, DType::TQ2_0}) EXPECT_EQ(bits(type), 2.625) << info(type).name;
  for (DType type : {DType::Q3_K, DType::IQ1_S, DType::IQ1_M, DType::IQ2_XXS, DType::IQ2_XS, DType::IQ2_S}) EXPECT_EQ(bits(type), 3.625) << info(type).name;
  for (DType type : {DType::IQ3_XXS, DType::IQ3_S, DType::IQ4_XS}) EXPECT_EQ(bits(type), 4.375) << info(type).name;
  for (DType type : {DType::IQ4_NL, DType::MXFP4}) EXPECT_EQ(bits(type), 4.5) << info(type).name;
}

TEST(Pack, RefusesWhatItCannotHold) {
  auto cpu = backend("base", 1);
  const Weight weight(DType::Q4_0, 4, 64, 1);
  TensorView view = weight.view;
  view.shape[1] = 48;
  EXPECT_EQ(cpu->pack(view, Precision::Native).error().code, Code::LoadFailed);  // no multiple of 32
  view = weight.view;
  view.shape[0] = 5;
  EXPECT_EQ(cpu->pack(view, Precision::Native).error().code, Code::LoadFailed);  // bytes missing
  view.shape[0] = int64_t{1} << 62;
  EXPECT_EQ(cpu->pack(view, Precision::Native).error().code, Code::LoadFailed);  // size overflows
  view = weight.view;
  view.shape[0] = 0;
  EXPECT_EQ(cpu->pack(view, Precision::Native).error().code, Code::LoadFailed);
  view = weight.view;
  view.type = DType::I32;
  for (Precision precision : {Precision::Native, Precision::F32}) EXPECT_EQ(cpu->pack(view, precision).error().code, Code::LoadFailed);
  view.type = DType::Q4_K;  // 64 columns, blocks of 256
  EXPECT_EQ(cpu->pack(view, Precision::Native).error().code, Code::LoadFailed);
}

TEST(Pack, SourceMayGoAway) {
  auto cpu = backend("base", 1);
  std::vector<float> x = random_values(256, 1), y(16), again(16);
  std::unique_ptr<Matrix> matrix;
  {
    const Weight weight(DType::Q5_K, 16, 256, 2);
    matrix = pack(*cpu, weight);
    const LinearOutput output{matrix.get(), nullptr, y.data(), false};
    cpu->linear(x.data(), 1, {}, {&output, 1});
  }
  const LinearOutput output{matrix.get(), nullptr, again.data(), false};
  cpu->linear(x.data(), 1, {}, {&output, 1});
  EXPECT_EQ(y, again);
}

TEST(Backend, NamesItsInstructionSetAndRefusesUnknownOnes) {
  EXPECT_EQ(backend("base")->name(), "cpu-base");
  EXPECT_EQ(backend("base", 3)->threads(), 3);
  EXPECT_GE(make_cpu_backend({}).value()->threads(), 1);
  EXPECT_EQ(make_cpu_backend({1, "avx1024"}).error().code, Code::InvalidInput);
}

}  // namespace
}  // namespace verge::engine
