// Attention to a memory, layer norm and unfolding against naive loops, on every instruction set; a query alone and in any
// call has the same bits.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/backend.h"
#include "support/random.h"
#include "tests/engine/instruction_sets.h"

namespace verge::engine {
namespace {

std::vector<float> random_values(size_t count, uint64_t seed, float scale = 1) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& x : values) x = static_cast<float>(random.unit() * 2 - 1) * scale;
  return values;
}

std::vector<std::unique_ptr<Backend>> backends() {
  std::vector<std::unique_ptr<Backend>> list;
  for (const char* isa : instruction_sets()) {
    for (int threads : {1, 3}) {
      if (auto backend = make_cpu_backend({threads, isa})) list.push_back(std::move(*backend));
    }
  }
  return list;
}

struct Case {
  int heads, head_dim, rows, n;
};

TEST(Memory, AttendsAsTheFormulaSays) {
  for (const auto& backend : backends()) {
    for (const Case& c : {Case{2, 16, 1, 1}, Case{1, 32, 15, 3}, Case{3, 64, 37, 9}, Case{2, 48, 160, 17}}) {
      SCOPED_TRACE(backend->name() + fmt::format(" {} {} {} {}", c.heads, c.head_dim, c.rows, c.n));
      const size_t width = static_cast<size_t>(c.heads * c.head_dim);
      const auto k = random_values(width * static_cast<size_t>(c.rows), 1, 2), v = random_values(k.size(), 2), q = random_values(width * static_cast<size_t>(c.n), 3, 2);
      auto memory = backend->make_memory(c.heads, c.head_dim, c.rows + 20);
      ASSERT_TRUE(memory);
      // What an earlier, longer clip left behind has no influence.
      const auto old = random_values(width * static_cast<size_t>(c.rows + 20), 4, 9);
      backend->remember(old.data(), old.data(), c.rows + 20, **memory);
      backend->remember(k.data(), v.data(), c.rows, **memory);
      std::vector<float> out(q.size()), scores(static_cast<size_t>(c.n * c.rows));
      const float scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
      backend->attend(**memory, q.data(), c.n, scale, out.data());
      for (int h = 0; h < c.heads; ++h) {
        backend->attention_scores(**memory, h, q.data(), c.n, scale, scores.data());
        for (int i = 0; i < c.n; ++i) {
          std::vector<double> p(static_cast<size_t>(c.rows));
          double total = 0;
          for (int j = 0; j < c.rows; ++j) {
            double dot = 0;
            for (int d = 0; d < c.head_dim; ++d) dot += double{q[static_cast<size_t>(i) * width + static_cast<size_t>(h * c.head_dim + d)]} * k[static_cast<size_t>(j) * width + static_cast<size_t>(h * c.head_dim + d)];
            EXPECT_NEAR(scores[static_cast<size_t>(i * c.rows + j)], dot * scale, 5e-3);
            total += p[static_cast<size_t>(j)] = std::exp(dot * scale);
          }
          for (int d = 0; d < c.head_dim; ++d) {
            double wanted = 0;
            for (int j = 0; j < c.rows; ++j) wanted += p[static_cast<size_t>(j)] / total * v[static_cast<size_t>(j) * width + static_cast<size_t>(h * c.head_dim + d)];
            EXPECT_NEAR(out[static_cast<size_t>(i) * width + static_cast<size_t>(h * c.head_dim + d)], wanted, 3e-3);
          }
        }
      }
      std::vector<float> alone(width);
      for (int i = 0; i < c.n; ++i) {
        backend->attend(**memory, q.data() + static_cast<size_t>(i) * width, 1, scale, alone.data());
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), out.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(i) * width))) << "query " << i;
      }
    }
  }
}

TEST(Memory, HeadsOfOddSizesAreRefused) {
  auto backend = make_cpu_backend({1, "base"});
  ASSERT_TRUE(backend);
  for (int head_dim : {0, 8, 20, 528}) EXPECT_FALSE((*backend)->make_memory(2, head_dim, 10)) << head_dim;
  EXPECT_FALSE((*backend)->make_memory(0, 16, 10));
  EXPECT_FALSE((*backend)->make_memory(1, 16, 0));
}

TEST(Memory, LayerNormAndActivation) {
  for (const auto& backend : backends()) {
    SCOPED_TRACE(backend->name());
    for (int dim : {1, 7, 48, 385}) {
      const int n = 5;
      const auto x = random_values(static_cast<size_t>(n * dim), 5, 3), w = random_values(static_cast<size_t>(dim), 6), b = random_values(static_cast<size_t>(dim), 7);
      std::vector<float> y(x.size());
      backend->layer_norm(x.data(), n, dim, {w.data(), b.data(), 1e-5f}, y.data());
      for (int i = 0; i < n; ++i) {
        double mean = 0, variance = 0;
        const auto at = [&](int j) { return double{x[static_cast<size_t>(i * dim + j)]}; };
        for (int j = 0; j < dim; ++j) mean += at(j) / dim;
        for (int j = 0; j < dim; ++j) variance += (at(j) - mean) * (at(j) - mean) / dim;
        for (int j = 0; j < dim; ++j) {
          const auto k = static_cast<size_t>(j);
          EXPECT_NEAR(y[static_cast<size_t>(i * dim + j)], (at(j) - mean) / std::sqrt(variance + 1e-5) * w[k] + b[k], 2e-5);
        }
      }
    }
    auto x = random_values(10001, 8, 6);
    const auto before = x;
    backend->activate(x.data(), static_cast<int64_t>(x.size()), Activation::GeluErf);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], 0.5 * before[i] * (1 + std::erf(before[i] / std::sqrt(2.0))), 2e-6);
  }
}

TEST(Memory, UnfoldsWithZerosOutside) {
  auto backend = make_cpu_backend({2, ""});
  ASSERT_TRUE(backend);
  const std::vector<float> x = {1, 2, 3, 4, 5, 6};  // three frames of two channels
  std::vector<float> y(3 * 6), half(2 * 6);
  (*backend)->unfold(x.data(), 3, 2, 3, 1, y.data());
  EXPECT_EQ(y, (std::vector<float>{0, 1, 3, 0, 2, 4, 1, 3, 5, 2, 4, 6, 3, 5, 0, 4, 6, 0}));
  (*backend)->unfold(x.data(), 3, 2, 3, 2, half.data());
  EXPECT_EQ(half, (std::vector<float>{0, 1, 3, 0, 2, 4, 3, 5, 0, 4, 6, 0}));
}

}  // namespace
}  // namespace verge::engine
