// Attention of encoders against a naive loop, on every instruction set: lengths around pages and splits, sequences
// packed behind each other, the same bits alone and in company.
#include "engine/backends/cpu/full_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

class FullAttentionTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!available(GetParam())) GTEST_SKIP() << "this machine lacks " << to_string(GetParam());
  }
};

struct Input {
  int heads, head_dim;
  std::vector<float> q, k, v;
  std::vector<int32_t> starts;
  size_t width() const { return static_cast<size_t>(heads) * static_cast<size_t>(head_dim); }
};

Input make_input(int heads, int head_dim, const std::vector<int>& lengths) {
  Input in{heads, head_dim, {}, {}, {}, {0}};
  std::mt19937 random(static_cast<unsigned>(head_dim));
  std::normal_distribution<float> normal;
  for (int length : lengths) in.starts.push_back(in.starts.back() + length);
  for (auto* to : {&in.q, &in.k, &in.v}) {
    to->resize(in.width() * static_cast<size_t>(in.starts.back()));
    for (float& x : *to) x = normal(random);
  }
  return in;
}

std::vector<float> attend(const Input& in, size_t first, size_t last, int threads, Isa isa) {
  Threads team(threads);
  const size_t offset = static_cast<size_t>(in.starts[first]) * in.width();
  std::vector<int32_t> starts;
  for (size_t i = first; i <= last; ++i) starts.push_back(in.starts[i] - in.starts[first]);
  std::vector<float> out(static_cast<size_t>(starts.back()) * in.width());
  FullAttentionArgs args;
  args.heads = in.heads, args.head_dim = in.head_dim;
  args.q = in.q.data() + offset, args.k = in.k.data() + offset, args.v = in.v.data() + offset;
  args.out = out.data();
  args.scale = 0.7f;
  args.starts = starts;
  full_attention(args, team, isa);
  return out;
}

TEST_P(FullAttentionTest, EqualsTheNaiveLoop) {
  for (int head_dim : {8, 20, 32, 64}) {
    const Input in = make_input(3, head_dim, {1, 31, 32, 33, 70, 255, 257, 300});
    const auto out = attend(in, 0, in.starts.size() - 1, 2, GetParam());
    double worst = 0;
    for (size_t s = 0; s + 1 < in.starts.size(); ++s) {
      for (int row = in.starts[s]; row < in.starts[s + 1]; row += 13) {
        for (int h = 0; h < in.heads; ++h) {
          const size_t column = static_cast<size_t>(h) * static_cast<size_t>(head_dim);
          const auto at = [&](const std::vector<float>& m, int r, int d) { return static_cast<double>(m[static_cast<size_t>(r) * in.width() + column + static_cast<size_t>(d)]); };
          std::vector<double> p, sum(static_cast<size_t>(head_dim));
          double total = 0;
          for (int key = in.starts[s]; key < in.starts[s + 1]; ++key) {
            double dot = 0;
            for (int d = 0; d < head_dim; ++d) dot += at(in.q, row, d) * at(in.k, key, d);
            p.push_back(std::exp(0.7f * dot));
            total += p.back();
          }
          for (size_t key = 0; key < p.size(); ++key)
            for (int d = 0; d < head_dim; ++d) sum[static_cast<size_t>(d)] += p[key] / total * at(in.v, in.starts[s] + static_cast<int>(key), d);
          for (int d = 0; d < head_dim; ++d) worst = std::max(worst, std::abs(sum[static_cast<size_t>(d)] - at(out, row, d)));
        }
      }
    }
    EXPECT_LT(worst, 2e-5) << head_dim;
  }
}

TEST_P(FullAttentionTest, ASequenceHasTheSameBitsAloneAndInCompany) {
  const Input in = make_input(2, 32, {40, 300, 1, 64});
  const auto all = attend(in, 0, 4, 3, GetParam());
  for (size_t s = 0; s < 4; ++s) {
    const auto alone = attend(in, s, s + 1, 1, GetParam());
    EXPECT_EQ(0, std::memcmp(alone.data(), all.data() + static_cast<size_t>(in.starts[s]) * in.width(), alone.size() * sizeof(float))) << s;
  }
}

// Two query heads a KV head, norms, rotation, and rows that see so many before and after themselves.
TEST_P(FullAttentionTest, WindowsNormsAndRotationEqualTheNaiveLoop) {
  constexpr int kHeads = 4, kKvHeads = 2, kDim = 16, kHalf = kDim / 2, kAll = std::numeric_limits<int>::max();
  const std::vector<int> lengths = {1, 33, 300, 20};
  Input q = make_input(kHeads, kDim, lengths), kv = make_input(kKvHeads, kDim, lengths);
  std::vector<float> cos, sin, q_norm, k_norm;
  for (int i = 0; i < kDim; ++i) q_norm.push_back(0.5f + 0.1f * static_cast<float>(i)), k_norm.push_back(1.5f - 0.05f * static_cast<float>(i));
  for (size_t s = 0; s + 1 < q.starts.size(); ++s)
    for (int row = q.starts[s]; row < q.starts[s + 1]; ++row)
      for (int i = 0; i < kHalf; ++i) {
        const double angle = (row - q.starts[s]) * std::pow(100.0, -2.0 * i / kDim);
        cos.push_back(static_cast<float>(std::cos(angle))), sin.push_back(static_cast<float>(std::sin(angle)));
      }
  // A head's vector, normed and rotated by its row's angles, in f64.
  const auto prepared = [&](const std::vector<float>& m, int row, int head, int heads, const std::vector<float>& norm) {
    std::vector<double> x(kDim), y(kDim);
    double squares = 0;
    for (int i = 0; i < kDim; ++i) x[static_cast<size_t>(i)] = m[(static_cast<size_t>(row) * static_cast<size_t>(heads) + static_cast<size_t>(head)) * kDim + static_cast<size_t>(i)];
    for (double v : x) squares += v * v;
    for (size_t i = 0; i < kDim; ++i) x[i] *= norm[i] / std::sqrt(squares / kDim + 1e-6);
    for (size_t i = 0; i < kHalf; ++i) {
      const double c = cos[static_cast<size_t>(row) * kHalf + i], n = sin[static_cast<size_t>(row) * kHalf + i];
      y[i] = x[i] * c - x[i + kHalf] * n, y[i + kHalf] = x[i] * n + x[i + kHalf] * c;
    }
    return y;
  };
  struct Reach { int behind, ahead; };
  for (const Reach reach : {Reach{kAll, 0}, Reach{9, 0}, Reach{5, 5}, Reach{260, 3}, Reach{kAll, kAll}}) {
    Threads team(2);
    FullAttentionArgs args;
    args.heads = kHeads, args.kv_heads = kKvHeads, args.head_dim = kDim, args.scale = 0.5f;
    args.q = q.q.data(), args.k = kv.k.data(), args.v = kv.v.data();
    std::vector<float> out(q.q.size());
    args.out = out.data();
    args.starts = q.starts;
    args.behind = reach.behind, args.ahead = reach.ahead;
    args.q_norm = q_norm.data(), args.k_norm = k_norm.data();
    args.rope = {cos.data(), sin.data(), kDim, false};
    full_attention(args, team, GetParam());
    double worst = 0;
    for (size_t s = 0; s + 1 < q.starts.size(); ++s) {
      for (int row = q.starts[s]; row < q.starts[s + 1]; row += row < 40 ? 1 : 7) {
        for (int h = 0; h < kHeads; ++h) {
          const auto query = prepared(q.q, row, h, kHeads, q_norm);
          double total = 0;
          std::vector<double> sum(kDim);
          for (int key = q.starts[s]; key < q.starts[s + 1]; ++key) {
            if (static_cast<int64_t>(row) - key > reach.behind || static_cast<int64_t>(key) - row > reach.ahead) continue;
            const auto other = prepared(kv.k, key, h / 2, kKvHeads, k_norm);
            double dot = 0;
            for (size_t i = 0; i < kDim; ++i) dot += query[i] * other[i];
            const double p = std::exp(0.5 * dot);
            total += p;
            for (size_t i = 0; i < kDim; ++i) sum[i] += p * kv.v[(static_cast<size_t>(key) * kKvHeads + static_cast<size_t>(h / 2)) * kDim + i];
          }
          for (size_t i = 0; i < kDim; ++i)
            worst = std::max(worst, std::abs(sum[i] / total - out[(static_cast<size_t>(row) * kHeads + static_cast<size_t>(h)) * kDim + i]));
        }
      }
    }
    EXPECT_LT(worst, 2e-5) << reach.behind << " before, " << reach.ahead << " after";
  }
}

INSTANTIATE_TEST_SUITE_P(All, FullAttentionTest, testing::Values(Isa::Base, Isa::Avx2, Isa::Avx512), [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace verge::engine::cpu
