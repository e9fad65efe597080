// Order of work: log-probabilities of the plain distribution (only where asked for), penalties and bias, then
// greedy or a draw. What top_k, then top_p, then min_p keep of softmax(logits / temperature) is always "all tokens
// from the best down to some last one", so the three give one cut and nothing is sorted but k tokens, or one bin of
// a histogram: the vocabulary is passed over a few times, in lanes, whatever the shape of the distribution.
//
// Ties: a higher logit goes first, then a lower id. The draw runs through the kept tokens in id order. The choice
// depends on logits, parameters, ids and nothing else; NaN logits are never chosen, nor are tokens less likely than
// e^-25 (1e-11) of the best: that spares most of a vocabulary's exponentials and is below f32's rounding of a softmax.
#include "engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_map>

namespace verge::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Token {
  int32_t id;
  float logit;
};
bool before(const Token& a, const Token& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

// Philox 2x32-10 (Salmon et al. 2011), counter and key as one 64-bit word each: a uniform double in [0, 1).
double uniform(uint64_t seed, uint64_t position) {
  // The key schedule of Philox has 32 bits; the seed's upper half joins the counter's.
  uint32_t a = static_cast<uint32_t>(position), b = static_cast<uint32_t>(position >> 32) ^ static_cast<uint32_t>(seed >> 32);
  uint32_t key = static_cast<uint32_t>(seed);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product = uint64_t{0xD256D193u} * a;
    a = static_cast<uint32_t>(product >> 32) ^ key ^ b;
    b = static_cast<uint32_t>(product);
    key += 0x9E3779B9u;
  }
  return static_cast<double>((uint64_t{a} << 21) ^ (b >> 11)) * 0x1p-53;
}

// Every comparison with NaN is false: such a logit never wins.
int32_t best_of(std::span<const float> logits) {
  // The largest value first, in lanes the compiler vectorises; then the lowest id that has it.
  constexpr int kLanes = 32;
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, kNever);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (int k = 0; k < kLanes; ++k) lanes[k] = logits[i + k] > lanes[k] ? logits[i + k] : lanes[k];
  }
  float top = *std::max_element(lanes, lanes + kLanes);
  for (; i < logits.size(); ++i) top = logits[i] > top ? logits[i] : top;
  const auto it = std::find(logits.begin(), logits.end(), top);
  return it == logits.end() ? 0 : static_cast<int32_t>(it - logits.begin());
}

// Four lanes in the compilers' own vectors: the same operations on every machine, so the same draws.
using Lanes = float __attribute__((vector_size(16)));
using IntLanes = int32_t __attribute__((vector_size(16)));

Lanes all(float x) { return Lanes{x, x, x, x}; }

// e^x for x <= 0, at least e^-87. x = n ln 2 + r; polynomial of Cephes' expf.
Lanes exp_lanes(Lanes x) {
  x = x > -87.0f ? x : all(-87.0f);
  const Lanes shifted = x * 1.44269504f + 12582912.0f;  // 1.5 · 2^23: n in the lowest bits of the sum
  const Lanes n = shifted - 12582912.0f;
  const Lanes r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Lanes y = all(1.9875691500e-4f);
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + (r + 1.0f);
  return y * (Lanes)(((IntLanes)shifted + 127) << 23);  // the casts keep the bits
}

constexpr size_t kBlock = 1024;

// w[i] = e^((logits[i] - top) · inverse) where logits[i] >= limit, else 0; at most kBlock of them, w up to a
// multiple of 16 is written. Returns their sum.
double weights(std::span<const float> logits, float top, float inverse, float limit, float* w) {
  Lanes total[4] = {};
  const auto sixteen = [&](const float* from, float* to) {
    Lanes x[4];
    std::memcpy(x, from, sizeof(x));
    IntLanes kept[4];
    for (int k = 0; k < 4; ++k) kept[k] = x[k] >= limit;  // false for NaN
    const IntLanes any = kept[0] | kept[1] | kept[2] | kept[3];
    if ((any[0] | any[1] | any[2] | any[3]) == 0) {
      std::memset(to, 0, sizeof(x));
      return;
    }
    for (int k = 0; k < 4; ++k) {
      x[k] = (Lanes)(kept[k] & (IntLanes)exp_lanes((x[k] - top) * inverse));
      total[k] += x[k];
    }
    std::memcpy(to, x, sizeof(x));
  };
  size_t i = 0;
  for (; i + 16 <= logits.size(); i += 16) sixteen(logits.data() + i, w + i);
  if (i < logits.size()) {
    float rest[16];
    std::fill(rest, rest + 16, std::numeric_limits<float>::quiet_NaN());
    std::copy(logits.begin() + static_cast<ptrdiff_t>(i), logits.end(), rest);
    sixteen(rest, w + i);
  }
  const Lanes sum = (total[0] + total[1]) + (total[2] + total[3]);
  return static_cast<double>(sum[0] + sum[1]) + (sum[2] + sum[3]);
}

constexpr float kNegligible = 25;
constexpr float kLowest = std::numeric_limits<float>::lowest();

double weight_sum(std::span<const float> logits, float top, float inverse) {
  float w[kBlock];
  double total = 0;
  for (size_t i = 0; i < logits.size(); i += kBlock) {
    total += weights(logits.subspan(i, std::min(kBlock, logits.size() - i)), top, inverse, kLowest, w);
  }
  return total;
}

void apply_penalties(std::span<float> logits, const SamplingParams& p, std::span<const int32_t> prompt, std::span<const int32_t> answer) {
  const auto valid = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < logits.size(); };
  std::unordered_map<int32_t, int> counts;  // in the answer; 0 = in the prompt only
  if (p.repetition_penalty != 1) {
    for (int32_t id : prompt) {
      if (valid(id)) counts.emplace(id, 0);
    }
  }
  if (p.repetition_penalty != 1 || p.frequency_penalty != 0 || p.presence_penalty != 0) {
    for (int32_t id : answer) {
      if (valid(id)) ++counts[id];
    }
  }
  for (const auto& [id, count] : counts) {
    float& x = logits[static_cast<size_t>(id)];
    x = x > 0 ? x / p.repetition_penalty : x * p.repetition_penalty;
    if (count > 0) x -= p.frequency_penalty * static_cast<float>(count) + p.presence_penalty;
  }
  for (const auto& [id, bias] : p.logit_bias) {
    if (valid(id)) logits[static_cast<size_t>(id)] += bias;
  }
}

void bar(std::span<float> logits, std::span<const uint32_t> mask) {
  for (size_t word = 0; word * 32 < logits.size(); ++word) {
    const uint32_t bits = word < mask.size() ? mask[word] : 0;
    const size_t end = std::min(logits.size(), word * 32 + 32);
    if (bits == UINT32_MAX) continue;
    if (bits == 0) {
      std::fill(logits.begin() + static_cast<ptrdiff_t>(word * 32), logits.begin() + static_cast<ptrdiff_t>(end), kNever);
      continue;
    }
    for (size_t i = word * 32; i < end; ++i)
      if ((bits >> (i & 31) & 1) == 0) logits[i] = kNever;
  }
}

// The `count` best tokens in order.
std::vector<Token> best(std::span<const float> logits, size_t count) {
  std::vector<Token> heap;  // the worst kept one in front
  count = std::min(count, logits.size());
  if (count == 0) return heap;
  for (size_t i = 0; i < logits.size(); ++i) {
    const Token token{static_cast<int32_t>(i), logits[i]};
    if (heap.size() < count) {
      if (std::isnan(token.logit)) continue;
      heap.push_back(token);
      std::push_heap(heap.begin(), heap.end(), before);
    } else if (token.logit > heap.front().logit) {
      std::pop_heap(heap.begin(), heap.end(), before);
      heap.back() = token;
      std::push_heap(heap.begin(), heap.end(), before);
    }
  }
  std::sort_heap(heap.begin(), heap.end(), before);
  return heap;
}

// The last token of the shortest run from the best whose weight reaches top_p of the whole.
Token nucleus_end(std::span<const float> logits, float top, float temperature, float top_p) {
  // Bins of (top - logit) / temperature.
  constexpr int kBins = 2048;
  const float to_bin = static_cast<float>(kBins) / (kNegligible * temperature), inverse = 1 / temperature;
  const float lowest = top - kNegligible * temperature;
  const auto bin_of = [&](float logit) { return static_cast<int>(std::min((top - logit) * to_bin, static_cast<float>(kBins - 1))); };
  std::vector<double> bins(kBins);
  float w[kBlock];
  for (size_t i = 0; i < logits.size(); i += kBlock) {
    const auto block = logits.subspan(i, std::min(kBlock, logits.size() - i));
    if (weights(block, top, inverse, lowest, w) == 0) continue;
    for (size_t k = 0; k < block.size(); ++k) {
      if (w[k] > 0) bins[static_cast<size_t>(bin_of(block[k]))] += w[k];
    }
  }
  double wanted = 0, sum = 0;
  for (double x : bins) wanted += x;
  wanted *= top_p;
  int bin = 0;
  while (bin + 1 < kBins && sum + bins[static_cast<size_t>(bin)] < wanted) sum += bins[static_cast<size_t>(bin++)];
  std::vector<Token> tokens;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= lowest && bin_of(logits[i]) == bin) tokens.push_back({static_cast<int32_t>(i), logits[i]});
  }
  std::sort(tokens.begin(), tokens.end(), before);
  Token last = {static_cast<int32_t>(logits.size()), lowest};  // where rounding leaves the bin empty: cut nothing
  for (const Token& t : tokens) {
    last = t;
    sum += std::exp((t.logit - top) * inverse);
    if (sum >= wanted) break;
  }
  return last;
}

// The last token that top_k, top_p and min_p keep.
Token cut(std::span<const float> logits, const SamplingParams& p, float top) {
  Token last = {static_cast<int32_t>(logits.size()), top - kNegligible * p.temperature};
  const float inverse = 1 / p.temperature;
  if (p.top_k > 0 && static_cast<size_t>(p.top_k) < logits.size()) {
    const std::vector<Token> kept = best(logits, static_cast<size_t>(p.top_k));
    if (kept.back().logit > last.logit) last = kept.back();
    if (p.top_p < 1) {
      double total = 0, sum = 0;
      for (const Token& t : kept) total += std::exp((t.logit - top) * inverse);
      for (const Token& t : kept) {
        last = t;
        sum += std::exp((t.logit - top) * inverse);
        if (sum >= p.top_p * total) break;
      }
    }
  } else if (p.top_p < 1) {
    last = nucleus_end(logits, top, p.temperature, p.top_p);
  }
  if (p.min_p > 0) {
    const float limit = top + std::log(std::min(p.min_p, 1.0f)) * p.temperature;
    if (limit > last.logit) last = {static_cast<int32_t>(logits.size()), limit};
  }
  return last;
}

// Inverse of the cumulative weights of the kept tokens at `u`. A first pass sums blocks, a second one looks into the
// block that u falls in.
int32_t draw(std::span<const float> logits, const SamplingParams& p, int32_t best_id, double u) {
  const float top = logits[static_cast<size_t>(best_id)];
  if (!std::isfinite(top)) return best_id;
  const float inverse = 1 / p.temperature;
  const Token last = cut(logits, p, top);
  // Of the tokens equal to the last one, those with lower ids are kept: blocks end at its id.
  const size_t border = std::min(static_cast<size_t>(last.id) + 1, logits.size());
  struct Block {
    size_t begin, end;
    float limit;
    double sum;
  };
  std::vector<Block> blocks;
  double total = 0;
  float w[kBlock];
  for (size_t begin = 0, end; begin < logits.size(); begin = end) {
    end = std::min(begin + kBlock, begin < border ? border : logits.size());
    const float limit = begin < border ? last.logit : std::nextafter(last.logit, std::numeric_limits<float>::max());
    const double sum = weights(logits.subspan(begin, end - begin), top, inverse, limit, w);
    blocks.push_back({begin, end, limit, sum});
    total += sum;
  }
  double left = u * total;
  int32_t id = best_id;
  for (const Block& block : blocks) {
    if (left >= block.sum) {
      left -= block.sum;
      continue;
    }
    weights(logits.subspan(block.begin, block.end - block.begin), top, inverse, block.limit, w);
    for (size_t i = block.begin; i < block.end; ++i) {
      const float weight = w[i - block.begin];
      if (weight == 0) continue;
      id = static_cast<int32_t>(i);  // also where rounding leaves a rest: the block's last kept token
      if (left < weight) break;
      left -= weight;
    }
    break;
  }
  return id;
}

}  // namespace

Sample sample(std::span<float> logits, const SamplingParams& params, std::span<const int32_t> prompt, std::span<const int32_t> answer,
              std::span<const uint32_t> mask) {
  Sample out;
  const bool wants_logprobs = params.logprobs >= 0;
  std::vector<float> plain;
  double normaliser = 0;
  if (wants_logprobs) {
    plain.assign(logits.begin(), logits.end());
    const float top = plain[static_cast<size_t>(best_of(plain))];
    normaliser = top + std::log(weight_sum(plain, top, 1));
    for (const Token& t : best(plain, static_cast<size_t>(params.logprobs))) {
      out.top.push_back({t.id, static_cast<float>(t.logit - normaliser)});
    }
  }
  if (!mask.empty()) bar(logits, mask);
  apply_penalties(logits, params, prompt, answer);
  out.id = best_of(logits);
  if (params.temperature > 0) out.id = draw(logits, params, out.id, uniform(params.seed, answer.size()));
  if (wants_logprobs) out.logprob = static_cast<float>(plain[static_cast<size_t>(out.id)] - normaliser);
  return out;
}

}  // namespace verge::engine
