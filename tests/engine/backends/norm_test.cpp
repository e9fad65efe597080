// Norms and activations against double precision at every length, and the promise that an element's bits don't depend
// on where a row was cut.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "engine/backends/cpu/elementwise.h"
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/norm.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

std::vector<float> noise(size_t count, unsigned seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> v(count);
  for (float& x : v) x = normal(random);
  return v;
}

class NormTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!available(GetParam())) GTEST_SKIP() << "this machine lacks " << to_string(GetParam());
  }
};

double inverse_rms(const float* x, int dim, double eps) {
  double squares = 0;
  for (int i = 0; i < dim; ++i) squares += static_cast<double>(x[i]) * x[i];
  return 1 / std::sqrt(squares / dim + eps);
}

TEST_P(NormTest, AddNormOfEveryLength) {
  Threads threads(1);
  for (int dim = 1; dim < 200; ++dim) {
    const auto x = noise(dim, dim, 3), w = noise(dim, dim + 1000);
    std::vector<float> y(dim);
    add_norm(y.data(), x.data(), 1, dim, {w.data(), 1e-5f}, threads, GetParam());
    const double scale = inverse_rms(x.data(), dim, 1e-5f);
    for (int i = 0; i < dim; ++i) ASSERT_NEAR(y[i], x[i] * scale * w[i], 1e-6 * (1 + std::abs(x[i] * scale * w[i]))) << dim;
  }
}

TEST_P(NormTest, AddNormAddsTheNormedRow) {
  Threads threads(2);
  constexpr int kRows = 37, kDim = 70;
  const auto before = noise(kRows * kDim, 1), y = noise(kRows * kDim, 2, 5), w = noise(kDim, 3);
  for (bool weighted : {true, false}) {
    auto x = before;
    add_norm(x.data(), y.data(), kRows, kDim, {weighted ? w.data() : nullptr, 1e-6f}, threads, GetParam());
    for (int r = 0; r < kRows; ++r) {
      const double scale = inverse_rms(&y[r * kDim], kDim, 1e-6);
      for (int i = 0; i < kDim; ++i) {
        const double add = weighted ? y[r * kDim + i] * scale * w[i] : y[r * kDim + i];
        ASSERT_NEAR(x[r * kDim + i], before[r * kDim + i] + add, 1e-5);
      }
    }
    // A row alone: the same bits.
    std::vector<float> one(before.begin() + 5 * kDim, before.begin() + 6 * kDim);
    add_norm(one.data(), &y[5 * kDim], 1, kDim, {weighted ? w.data() : nullptr, 1e-6f}, threads, GetParam());
    EXPECT_EQ(0, std::memcmp(one.data(), &x[5 * kDim], sizeof(float) * kDim));
  }
}

TEST_P(NormTest, LayerNormOfEveryLengthAndTheSameBitsAlone) {
  Threads threads(2);
  for (int dim = 1; dim < 200; dim += dim < 40 ? 1 : 13) {
    constexpr int kRows = 20;
    const auto x = noise(static_cast<size_t>(kRows * dim), dim, 3), w = noise(static_cast<size_t>(dim), dim + 1000), b = noise(static_cast<size_t>(dim), dim + 2000);
    std::vector<float> y(x.size());
    layer_norm(x.data(), kRows, dim, {w.data(), b.data(), 1e-5f}, y.data(), threads, GetParam());
    for (int r = 0; r < kRows; ++r) {
      double mean = 0, variance = 0;
      for (int i = 0; i < dim; ++i) mean += x[static_cast<size_t>(r * dim + i)] / static_cast<double>(dim);
      for (int i = 0; i < dim; ++i) variance += std::pow(x[static_cast<size_t>(r * dim + i)] - mean, 2) / dim;
      for (int i = 0; i < dim; ++i) {
        const double wanted = (x[static_cast<size_t>(r * dim + i)] - mean) / std::sqrt(variance + 1e-5) * w[static_cast<size_t>(i)] + b[static_cast<size_t>(i)];
        ASSERT_NEAR(y[static_cast<size_t>(r * dim + i)], wanted, 2e-5 * (1 + std::abs(wanted))) << dim;
      }
    }
    std::vector<float> one(x.begin() + 7 * dim, x.begin() + 8 * dim);
    layer_norm(one.data(), 1, dim, {w.data(), b.data(), 1e-5f}, one.data(), threads, GetParam());  // in place
    EXPECT_EQ(0, std::memcmp(one.data(), &y[static_cast<size_t>(7 * dim)], sizeof(float) * static_cast<size_t>(dim)));
  }
}

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::Silu: return x / (1 + std::exp(-x));
    case Activation::GeluTanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::GeluErf: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    default: return std::max(x, 0.0);
  }
}

TEST_P(NormTest, Activations) {
  auto g = noise(1003, 4, 4);
  for (float extreme : {0.0f, -0.0f, 1e-20f, 30.0f, -30.0f, 100.0f, -100.0f, 1000.0f, -1000.0f, 1e10f, -1e10f}) g.push_back(extreme);
  const auto u = noise(g.size(), 5);
  for (Activation activation : {Activation::Silu, Activation::GeluTanh, Activation::GeluErf, Activation::Relu}) {
    std::vector<float> y(g.size());
    gate(g.data(), u.data(), static_cast<int64_t>(g.size()), activation, y.data(), GetParam());
    for (size_t i = 0; i < g.size(); ++i) {
      const double expected = activated(activation, g[i]) * u[i];
      ASSERT_NEAR(y[i], expected, 1e-6 * (1 + std::abs(expected))) << static_cast<int>(activation) << " of " << g[i];
    }
    // Cut anywhere, in place: the same bits.
    for (int64_t cut : {1, 7, 16, 333}) {
      auto parts = g;
      gate(parts.data(), u.data(), cut, activation, parts.data(), GetParam());
      gate(parts.data() + cut, u.data() + cut, static_cast<int64_t>(g.size()) - cut, activation, parts.data() + cut, GetParam());
      EXPECT_EQ(0, std::memcmp(parts.data(), y.data(), y.size() * sizeof(float))) << cut;
    }
  }
}

TEST_P(NormTest, SoftCap) {
  Threads threads(2);
  const auto x = noise(40000, 6, 40);
  auto y = x;
  softcap(y.data(), static_cast<int64_t>(y.size()), 30, threads, GetParam());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(y[i], 30 * std::tanh(x[i] / 30.0), 1e-5);
}

TEST(GatherRows, CopiesRowsInOrder) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6};
  const int32_t rows[] = {2, 0, 2};
  std::vector<float> y(6);
  gather_rows(x.data(), rows, 2, y.data());
  EXPECT_EQ(y, (std::vector<float>{5, 6, 1, 2, 5, 6}));
}

INSTANTIATE_TEST_SUITE_P(Isas, NormTest, testing::Values(Isa::Base, Isa::Avx2, Isa::Avx512), [](const auto& info) { return to_string(info.param); });

}  // namespace
}  // namespace verge::engine::cpu
