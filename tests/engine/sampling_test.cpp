#include "engine/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <tuple>

namespace verge::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Sample run(std::vector<float> logits, const SamplingParams& params, std::vector<int32_t> prompt = {}, std::vector<int32_t> answer = {}) {
  return sample(logits, params, prompt, answer);
}

SamplingParams at(float temperature) {
  SamplingParams p;
  p.temperature = temperature;
  return p;
}

std::vector<float> random_logits(size_t count, unsigned seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(count);
  for (float& x : logits) x = normal(random);
  return logits;
}

// The tokens that the three filters keep, by sorting everything: (id, probability).
std::map<int32_t, double> kept_by_sorting(const std::vector<float>& logits, const SamplingParams& p) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  if (p.top_k > 0 && p.top_k < static_cast<int>(order.size())) order.resize(p.top_k);
  const double top = logits[order[0]];
  const auto weight = [&](int32_t id) { return std::exp((logits[id] - top) / p.temperature); };
  double total = 0, sum = 0;
  for (int32_t id : order) total += weight(id);
  size_t count = 0;
  while (count < order.size() && (count == 0 || p.top_p >= 1 || sum < p.top_p * total)) sum += weight(order[count++]);
  order.resize(count);
  std::erase_if(order, [&](int32_t id) { return weight(id) < p.min_p; });
  std::map<int32_t, double> out;
  double rest = 0;
  for (int32_t id : order) rest += weight(id);
  for (int32_t id : order) out[id] = weight(id) / rest;
  return out;
}

// Draws at many positions and compares frequencies with the expected probabilities.
void expect_distribution(const std::vector<float>& logits, SamplingParams p, const char* what) {
  const auto expected = kept_by_sorting(logits, p);
  std::map<int32_t, int> counts;
  constexpr int kDraws = 4000;
  std::vector<int32_t> answer;
  for (int i = 0; i < kDraws; ++i) {
    p.seed = static_cast<uint64_t>(i) * 7919 + 1;
    ++counts[run(logits, p, {}, answer).id];
  }
  double chi = 0;
  int cells = 0;
  for (const auto& [id, count] : counts) ASSERT_TRUE(expected.contains(id)) << what << ": token " << id << " should have been cut";
  for (const auto& [id, probability] : expected) {
    const double want = probability * kDraws;
    if (want < 5) continue;
    const double got = counts.contains(id) ? counts[id] : 0;
    chi += (got - want) * (got - want) / want;
    ++cells;
  }
  // Mean `cells`, deviation sqrt(2 cells): six of them.
  EXPECT_LT(chi, cells + 6 * std::sqrt(2.0 * cells) + 6) << what;
}

TEST(Sampling, GreedyTakesTheLowestIdAmongTheLargest) {
  EXPECT_EQ(run({1, 3, 3, 2}, at(0)).id, 1);
  EXPECT_EQ(run({-5}, at(0)).id, 0);
  for (size_t size : {31, 32, 33, 100, 1000}) {
    for (size_t best = 0; best < size; best += 7) {
      std::vector<float> logits(size, -1);
      logits[best] = 2;
      if (best + 3 < size) logits[best + 3] = 2;
      EXPECT_EQ(run(logits, at(0)).id, static_cast<int32_t>(best));
    }
  }
}

TEST(Sampling, NanIsNeverChosen) {
  EXPECT_EQ(run({kNan, 1, kNan, 3, kNan}, at(0)).id, 3);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (auto [top_k, top_p, min_p] : {std::tuple{0, 1.0f, 0.0f}, {2, 1.0f, 0.0f}, {0, 0.9f, 0.0f}, {0, 1.0f, 0.1f}}) {
      SamplingParams p = at(1);
      p.seed = seed;
      p.top_k = top_k;
      p.top_p = top_p;
      p.min_p = min_p;
      const int32_t id = run({kNan, 1, kNan, 1.5f, kNan}, p).id;
      EXPECT_TRUE(id == 1 || id == 3) << id;
    }
  }
  EXPECT_EQ(run({kNan, kNan}, at(0)).id, 0);
  EXPECT_EQ(run({kNan, kNan}, at(1)).id, 0);
  SamplingParams p = at(1);
  p.top_k = 1;
  EXPECT_EQ(run({kNan, kNan}, p).id, 0);
}

TEST(Sampling, TheDrawDependsOnSeedAndPositionAlone) {
  const auto logits = random_logits(500, 1, 1);
  SamplingParams p = at(1);
  p.seed = 42;
  std::vector<int32_t> answer;
  std::vector<int32_t> first;
  for (int i = 0; i < 64; ++i) {
    const int32_t id = run(logits, p, {1, 2}, answer).id;
    EXPECT_EQ(id, run(logits, p, {9}, std::vector<int32_t>(answer.size(), 7)).id);
    first.push_back(id);
    answer.push_back(id);
  }
  EXPECT_GT(std::set<int32_t>(first.begin(), first.end()).size(), 30u);
  p.seed = 43;
  answer.clear();
  int same = 0;
  for (int i = 0; i < 64; ++i) {
    const int32_t id = run(logits, p, {}, answer).id;
    same += id == first[static_cast<size_t>(i)];
    answer.push_back(id);
  }
  EXPECT_LT(same, 16);
  // The seed's upper half counts.
  p.seed = 42 | uint64_t{1} << 40;
  EXPECT_NE(run(logits, p, {}, {}).id * 1000 + run(logits, p, {}, {1}).id, first[0] * 1000 + first[1]);
}

TEST(Sampling, FollowsTheDistribution) {
  expect_distribution(random_logits(40, 2, 1), at(1), "plain");
  expect_distribution(random_logits(40, 2, 1), at(0.5f), "temperature 0.5");
  expect_distribution(random_logits(3000, 3, 2), at(0.7f), "blocks");
  SamplingParams p = at(0.8f);
  p.top_k = 7;
  expect_distribution(random_logits(2000, 4, 2), p, "top_k");
  p.top_p = 0.6f;
  expect_distribution(random_logits(2000, 5, 2), p, "top_k and top_p");
  p.top_k = 0;
  expect_distribution(random_logits(2000, 6, 2), p, "top_p");
  p.min_p = 0.2f;
  expect_distribution(random_logits(2000, 7, 2), p, "top_p and min_p");
  p.top_p = 1;
  expect_distribution(random_logits(2000, 8, 1), p, "min_p");
  p = at(5);
  p.top_p = 0.95f;
  expect_distribution(random_logits(300, 9, 1), p, "flat");
}

TEST(Sampling, TiesAtTheCutGoByLowestId) {
  const std::vector<float> logits = {0, 1, 1, 1, 0, 1};
  SamplingParams p = at(1);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    p.seed = seed;
    p.top_k = 2;
    p.top_p = 1;
    const int32_t k = run(logits, p).id;
    EXPECT_TRUE(k == 1 || k == 2) << k;
    p.top_k = 0;
    p.top_p = 0.5f;  // 4 e / (4 e + 2) = 0.84 for the four, 0.63 for three, 0.42 for two
    const int32_t n = run(logits, p).id;
    EXPECT_TRUE(n == 1 || n == 2 || n == 3) << n;
  }
}

TEST(Sampling, ExtremeParametersKeepAtLeastTheBest) {
  const auto logits = random_logits(1000, 10, 3);
  const int32_t best = run(logits, at(0)).id;
  SamplingParams p = at(1);
  p.top_p = 0;
  EXPECT_EQ(run(logits, p).id, best);
  p = at(1);
  p.min_p = 1;
  EXPECT_EQ(run(logits, p).id, best);
  p = at(1);
  p.top_k = 1;
  EXPECT_EQ(run(logits, p).id, best);
  p = at(1e-6f);
  EXPECT_EQ(run(logits, p).id, best);
  p = at(1);
  p.top_k = 5000;
  EXPECT_GE(run(logits, p).id, 0);
}

TEST(Sampling, Penalties) {
  SamplingParams p = at(0);
  p.repetition_penalty = 2;
  EXPECT_EQ(run({4, 3, -1}, p, {0}).id, 1);       // 4 / 2 < 3
  EXPECT_EQ(run({-1, -1.5f}, p, {0}).id, 1);      // -1 * 2 < -1.5
  p = at(0);
  p.frequency_penalty = 1;
  EXPECT_EQ(run({4, 2.5f}, p, {0, 0, 0}).id, 0);  // the prompt does not count
  EXPECT_EQ(run({4, 2.5f}, p, {}, {0}).id, 0);
  EXPECT_EQ(run({4, 2.5f}, p, {}, {0, 0}).id, 1);
  p = at(0);
  p.presence_penalty = 2;
  EXPECT_EQ(run({4, 2.5f}, p, {}, {0}).id, 1);
  EXPECT_EQ(run({5, 2.5f}, p, {}, {0, 0, 0}).id, 0);
  p = at(0);
  p.logit_bias = {{1, 5}, {7, 100}, {-1, 100}};   // ids outside the vocabulary are left alone
  EXPECT_EQ(run({4, 0}, p).id, 1);
  p.logit_bias = {{0, -100}};
  EXPECT_EQ(run({4, 0}, p).id, 1);
}

TEST(Sampling, LogprobsAreOfThePlainDistribution) {
  const auto logits = random_logits(5000, 11, 2);
  double total = 0;
  for (float x : logits) total += std::exp(static_cast<double>(x));
  SamplingParams p = at(0.3f);
  p.top_k = 3;
  p.presence_penalty = 1;
  p.logprobs = 5;
  const Sample s = run(logits, p, {}, {1});
  EXPECT_NEAR(s.logprob, logits[s.id] - std::log(total), 1e-4);
  ASSERT_EQ(s.top.size(), 5u);
  auto sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(logits[s.top[i].id], sorted[i]);
    EXPECT_NEAR(s.top[i].logprob, sorted[i] - std::log(total), 1e-4);
  }
  p.logprobs = 0;
  EXPECT_TRUE(run(logits, p).top.empty());
  EXPECT_LT(run(logits, p).logprob, 0);
  p.logprobs = -1;
  EXPECT_EQ(run(logits, p).logprob, 0);
}

}  // namespace
}  // namespace verge::engine
