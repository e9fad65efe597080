// Attention against a plain loop in double precision, on every instruction set of this machine: shapes, windows, soft caps,
// cache types, garbage in pages, and the promise that a row's bits don't depend on its batch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "engine/backend.h"
#include "engine/backends/cpu/kv_cache.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

struct Shape {
  int heads = 4, kv_heads = 2, head_dim = 64;
  int rotary_dim = 64;
  bool interleaved = false;
  bool norm = false;
  float softcap = 0;
  int window = 0;
  KvType type = KvType::F32;
};

// All tokens of one sequence: what the model would hand to attention().
struct Tokens {
  Tokens(const Shape& shape, int count, unsigned seed) : count(count) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& v, size_t n) {
      v.resize(n);
      for (float& x : v) x = normal(random);
    };
    fill(q, static_cast<size_t>(count) * shape.heads * shape.head_dim);
    fill(k, static_cast<size_t>(count) * shape.kv_heads * shape.head_dim);
    fill(v, static_cast<size_t>(count) * shape.kv_heads * shape.head_dim);
    const int half = shape.rotary_dim / 2;
    for (int t = 0; t < count; ++t) {
      for (int i = 0; i < half; ++i) {
        const double angle = t * std::pow(10000.0, -static_cast<double>(i) / half);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
  int count;
  std::vector<float> q, k, v, cos, sin;
};

std::vector<float> norm_weight(int head_dim, float first) {
  std::vector<float> w(static_cast<size_t>(head_dim));
  for (int i = 0; i < head_dim; ++i) w[static_cast<size_t>(i)] = first + 0.01f * static_cast<float>(i);
  return w;
}

// One head's vector, normed and rotated, in the caller's own order of channels.
std::vector<double> transformed(const float* x, const Shape& s, const Tokens& tokens, int t, float first_weight) {
  std::vector<double> y(x, x + s.head_dim);
  if (s.norm) {
    const auto w = norm_weight(s.head_dim, first_weight);
    double squares = 0;
    for (double value : y) squares += value * value;
    for (int i = 0; i < s.head_dim; ++i) y[i] *= w[i] / std::sqrt(squares / s.head_dim + 1e-6);
  }
  const int half = s.rotary_dim / 2;
  for (int i = 0; i < half; ++i) {
    const int a = s.interleaved ? 2 * i : i, b = s.interleaved ? 2 * i + 1 : i + half;
    const double c = tokens.cos[t * half + i], n = tokens.sin[t * half + i];
    const double ya = y[a] * c - y[b] * n, yb = y[a] * n + y[b] * c;
    y[a] = ya;
    y[b] = yb;
  }
  return y;
}

std::vector<double> reference(const Shape& s, const Tokens& tokens) {
  std::vector<double> out(static_cast<size_t>(tokens.count) * s.heads * s.head_dim);
  std::vector<std::vector<double>> keys;
  for (int t = 0; t < tokens.count; ++t) {
    for (int h = 0; h < s.kv_heads; ++h) {
      keys.push_back(transformed(&tokens.k[(static_cast<size_t>(t) * s.kv_heads + h) * s.head_dim], s, tokens, t, 0.7f));
    }
  }
  for (int t = 0; t < tokens.count; ++t) {
    for (int h = 0; h < s.heads; ++h) {
      const size_t at = (static_cast<size_t>(t) * s.heads + h) * s.head_dim;
      const auto q = transformed(&tokens.q[at], s, tokens, t, 1.3f);
      const int kv = h / (s.heads / s.kv_heads), begin = s.window > 0 ? std::max(0, t + 1 - s.window) : 0;
      std::vector<double> p;
      double top = -1e300, sum = 0;
      for (int j = begin; j <= t; ++j) {
        double score = 0;
        for (int d = 0; d < s.head_dim; ++d) score += q[d] * keys[static_cast<size_t>(j) * s.kv_heads + kv][d];
        score /= std::sqrt(static_cast<double>(s.head_dim));
        if (s.softcap > 0) score = s.softcap * std::tanh(score / s.softcap);
        p.push_back(score);
        top = std::max(top, score);
      }
      for (double& x : p) sum += x = std::exp(x - top);
      for (int j = begin; j <= t; ++j) {
        const float* v = &tokens.v[(static_cast<size_t>(j) * s.kv_heads + kv) * s.head_dim];
        for (int d = 0; d < s.head_dim; ++d) out[at + d] += p[j - begin] / sum * v[d];
      }
    }
  }
  return out;
}

// A sequence in the cache: its tokens, its page table, how far it has been run.
struct Sequence {
  const Tokens* tokens;
  std::vector<int32_t> pages;
  int position = 0;
  std::vector<float> out;
};

std::vector<int32_t> pages_for(int tokens, int first, int step) {
  std::vector<int32_t> pages;
  for (int i = 0; i * limits::kPageTokens < tokens; ++i) pages.push_back(first + i * step);
  return pages;
}

// Runs the next rows[i] tokens of sequences[i] in one call.
void step(Backend& backend, KvCache& cache, const Shape& s, std::vector<Sequence*> sequences, const std::vector<int>& rows) {
  std::vector<float> q, k, v, cos, sin;
  std::vector<SequenceRows> parts;
  int n = 0;
  const int half = s.rotary_dim / 2;
  const auto append = [](std::vector<float>& to, const std::vector<float>& from, int first, int count, int width) {
    to.insert(to.end(), from.begin() + static_cast<size_t>(first) * width, from.begin() + static_cast<size_t>(first + count) * width);
  };
  for (size_t i = 0; i < sequences.size(); ++i) {
    Sequence& q_ = *sequences[i];
    append(q, q_.tokens->q, q_.position, rows[i], s.heads * s.head_dim);
    append(k, q_.tokens->k, q_.position, rows[i], s.kv_heads * s.head_dim);
    append(v, q_.tokens->v, q_.position, rows[i], s.kv_heads * s.head_dim);
    append(cos, q_.tokens->cos, q_.position, rows[i], half);
    append(sin, q_.tokens->sin, q_.position, rows[i], half);
    parts.push_back({n, rows[i], q_.position, q_.pages});
    n += rows[i];
  }
  std::vector<float> out(static_cast<size_t>(n) * s.heads * s.head_dim, std::numeric_limits<float>::quiet_NaN());
  const auto q_norm = norm_weight(s.head_dim, 1.3f), k_norm = norm_weight(s.head_dim, 0.7f);
  AttentionArgs args;
  args.n = n;
  args.heads = s.heads;
  args.kv_heads = s.kv_heads;
  args.head_dim = s.head_dim;
  args.q = q.data();
  args.k = k.data();
  args.v = v.data();
  args.out = out.data();
  args.q_norm = s.norm ? q_norm.data() : nullptr;
  args.k_norm = s.norm ? k_norm.data() : nullptr;
  args.rope = {cos.data(), sin.data(), s.rotary_dim, s.interleaved};
  args.scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
  args.softcap = s.softcap;
  args.window = s.window;
  args.layer = 1;
  args.cache = &cache;
  args.sequences = parts;
  backend.attention(args);
  size_t from = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const size_t count = static_cast<size_t>(rows[i]) * s.heads * s.head_dim;
    sequences[i]->out.insert(sequences[i]->out.end(), out.begin() + from, out.begin() + from + count);
    sequences[i]->position += rows[i];
    from += count;
  }
}

std::unique_ptr<KvCache> make_cache(Backend& backend, const Shape& s, int pages) {
  auto cache = backend.make_kv_cache(2, s.kv_heads, s.head_dim, pages, s.type);
  EXPECT_TRUE(cache.ok());
  // An earlier owner's leavings: NaN in every type.
  auto* cpu = static_cast<cpu::CpuKvCache*>(cache->get());
  std::memset(static_cast<void*>(cpu->data), 0xff, cpu->bytes);
  return std::move(*cache);
}

class AttentionTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    backend_ = make(2);
    if (!backend_) GTEST_SKIP() << "this machine lacks " << GetParam();
  }
  std::unique_ptr<Backend> make(int threads) {
    BackendOptions options;
    options.threads = threads;
    options.isa = GetParam();
    auto backend = make_cpu_backend(options);
    return backend ? std::move(*backend) : nullptr;
  }
  std::vector<float> whole(Backend& backend, const Shape& s, const Tokens& tokens) {
    auto cache = make_cache(backend, s, 64);
    Sequence sequence{&tokens, pages_for(tokens.count, 40, -1), 0, {}};
    step(backend, *cache, s, {&sequence}, {tokens.count});
    return sequence.out;
  }
  void expect_near_reference(const Shape& s, int count, double tolerance) {
    const Tokens tokens(s, count, 7);
    const auto expected = reference(s, tokens);
    const auto got = whole(*backend_, s, tokens);
    ASSERT_EQ(got.size(), expected.size());
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_TRUE(std::isfinite(got[i])) << i;
      worst = std::max(worst, std::abs(got[i] - expected[i]));
    }
    EXPECT_LT(worst, tolerance) << "heads " << s.heads << "/" << s.kv_heads << " dim " << s.head_dim << " window " << s.window;
  }
  std::unique_ptr<Backend> backend_;
};

TEST_P(AttentionTest, MatchesThePlainLoopForEveryHeadSize) {
  for (int head_dim : {8, 10, 32, 40, 64, 80, 96, 128, 256}) {
    Shape s;
    s.head_dim = s.rotary_dim = head_dim;
    expect_near_reference(s, 70, 2e-5);
  }
}

TEST_P(AttentionTest, MatchesThePlainLoopForEveryGroup) {
  for (auto [heads, kv_heads] : {std::pair{1, 1}, {4, 4}, {9, 3}, {14, 2}, {8, 1}, {12, 1}, {20, 4}}) {
    Shape s;
    s.heads = heads;
    s.kv_heads = kv_heads;
    s.head_dim = s.rotary_dim = 32;
    expect_near_reference(s, 90, 2e-5);
  }
}

TEST_P(AttentionTest, MatchesThePlainLoopAcrossSplits) {
  Shape s;
  s.heads = 2;
  s.kv_heads = 1;
  s.head_dim = s.rotary_dim = 16;
  expect_near_reference(s, 600, 2e-5);
}

TEST_P(AttentionTest, NormsRotatesPartOfTheHeadAndInterleavedPairs) {
  for (bool interleaved : {false, true}) {
    for (bool norm : {false, true}) {
      Shape s;
      s.interleaved = interleaved;
      s.norm = norm;
      s.rotary_dim = 24;
      expect_near_reference(s, 65, 5e-5);
    }
  }
}

TEST_P(AttentionTest, SlidingWindowAndSoftCap) {
  for (int window : {1, 5, 32, 33, 100, 300}) {
    Shape s;
    s.window = window;
    s.head_dim = s.rotary_dim = 16;
    expect_near_reference(s, 350, 2e-5);
  }
  Shape s;
  s.softcap = 2.5f;
  expect_near_reference(s, 80, 5e-5);
}

TEST_P(AttentionTest, HalfPrecisionCaches) {
  Shape s;
  s.type = KvType::F16;
  expect_near_reference(s, 100, 3e-3);
  s.type = KvType::BF16;
  expect_near_reference(s, 100, 3e-2);
}

// Whatever the cutting into calls, the company and the threads: the same bits.
TEST_P(AttentionTest, SameBitsInAnyBatchAndAnyChunks) {
  for (int window : {0, 75, 260}) {
    for (KvType type : {KvType::F16, KvType::BF16, KvType::F32}) {
      Shape s;
      s.heads = 6;
      s.kv_heads = 2;
      s.head_dim = s.rotary_dim = 48;
      s.window = window;
      s.type = type;
      const Tokens a(s, 560, 1), b(s, 300, 2), c(s, 37, 3);
      const auto expect_a = whole(*backend_, s, a), expect_b = whole(*backend_, s, b), expect_c = whole(*backend_, s, c);
      for (int threads : {1, 3}) {
        auto backend = make(threads);
        auto cache = make_cache(*backend, s, 64);
        Sequence x{&a, pages_for(560, 0, 2), 0, {}}, y{&b, pages_for(300, 1, 2), 0, {}}, z{&c, pages_for(37, 63, -1), 0, {}};
        std::mt19937 random(11);
        while (x.position < 560 || y.position < 300 || z.position < 37) {
          std::vector<Sequence*> sequences;
          std::vector<int> rows;
          for (Sequence* sequence : {&x, &y, &z}) {
            const int left = sequence->tokens->count - sequence->position;
            const int take = std::min(left, std::array{1, 1, 3, 17, 40, 0}[random() % 6]);
            if (take == 0) continue;
            sequences.push_back(sequence);
            rows.push_back(take);
          }
          if (!sequences.empty()) step(*backend, *cache, s, sequences, rows);
        }
        EXPECT_EQ(0, std::memcmp(x.out.data(), expect_a.data(), expect_a.size() * 4)) << "window " << window;
        EXPECT_EQ(0, std::memcmp(y.out.data(), expect_b.data(), expect_b.size() * 4)) << "window " << window;
        EXPECT_EQ(0, std::memcmp(z.out.data(), expect_c.data(), expect_c.size() * 4)) << "window " << window;
      }
    }
  }
}

// A later token's infinite key or value reaches no earlier one of the same chunk.
TEST_P(AttentionTest, LaterTokensNeverReachEarlierOnes) {
  Shape s;
  s.type = KvType::F16;
  Tokens tokens(s, 40, 5);
  const auto expected = whole(*backend_, s, tokens);
  const size_t width = static_cast<size_t>(s.kv_heads) * s.head_dim, from = 20;
  for (size_t i = from * width; i < tokens.v.size(); ++i) {
    tokens.v[i] = i % 2 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    tokens.k[i] = std::numeric_limits<float>::quiet_NaN();
  }
  const auto got = whole(*backend_, s, tokens);
  EXPECT_EQ(0, std::memcmp(got.data(), expected.data(), from * s.heads * s.head_dim * 4));
}

INSTANTIATE_TEST_SUITE_P(Isa, AttentionTest, testing::Values("base", "avx2", "avx512"));

}  // namespace
}  // namespace verge::engine
