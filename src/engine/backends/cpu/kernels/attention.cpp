// Attention over the paged cache, for one KV head, a block of queries and one split of the keys.
//
// Scores of the whole split come first, then their softmax, then the weighted values; splits are joined afterwards
// as in online softmax (Milakov and Gimelshein 2018; FlashAttention). Keys lie transposed, 16 keys to a row of each
// channel, so a score is built in one lane by head_dim multiply-adds in channel order: its bits can't depend on its
// neighbours. kRows queries share each load of keys and values.
//
// Why a row's bits are the same in any batch: splits start at absolute positions, and keys that a query does not see
// change its state by exactly nothing (p = 0, values finite), so it does not matter what other queries of
// the block need.
#include "engine/backends/cpu/kernels/attention.h"

#include <float.h>

#include "engine/backends/cpu/kernels/lanes.h"

namespace verge::engine::cpu::VERGE_ISA {
namespace {

constexpr int kPage = 32;             // limits::kPageTokens, checked in attention.cpp beside the kernels
constexpr int kTile = 16;             // kKeyTile
constexpr int kSplit = 256;           // kSplitKeys
constexpr int kTileVectors = kTile / kWidth;
constexpr float kNoScore = -1e30f;    // finite, so that the difference of two of them is 0
// Queries that share loads, chosen to fill the register file with accumulators.
constexpr int kRows = kWidth == 16 ? 8 : kWidth == 8 ? 4 : 2;
// Tiles scored together: more independent chains where registers allow.
constexpr int kTiles = kWidth == 16 ? 2 : 1;

// Pages fetched ahead of their use, into the second-level cache: it takes more requests at a time than the first (on
// Zen 4 24 GB/s a core against 15 for blocks of 4 KiB that lie apart).
constexpr int kAhead = 2;

struct F16 {
  using T = uint16_t;
  static Lanes load(const T* p) { return load_f16(p); }
  static void store(T* p, Lanes x) { store_f16(p, min(max(x, set1(-65504.0f)), set1(65504.0f))); }
};
constexpr float kLargestBf16 = 3.3895313892515355e38f;
struct Bf16 {
  using T = uint16_t;
  static Lanes load(const T* p) { return load_bf16(p); }
  static void store(T* p, Lanes x) { store_bf16(p, min(max(x, set1(-kLargestBf16)), set1(kLargestBf16))); }
};
struct F32 {
  using T = float;
  static Lanes load(const T* p) { return VERGE_ISA::load(p); }
  static void store(T* p, Lanes x) { VERGE_ISA::store(p, min(max(x, set1(-FLT_MAX)), set1(FLT_MAX))); }
};

// scores[r][key] = q[r] · key of one page, for R queries. Meanwhile as many bytes at `ahead` are fetched (null: none): a
// page is too short for the processor's own prefetcher to be of use.
template <class Kv, int R>
void score_page(const float* q, int head_dim, const typename Kv::T* keys, float (*scores)[kSplit], const char* ahead) {
  constexpr int kVectors = kTiles * kTileVectors;
  constexpr int kBytes = kTiles * kTile * static_cast<int>(sizeof(typename Kv::T));  // read in one turn of the loop
  for (int t = 0; t < kPage / kTile; t += kTiles) {
    Lanes sums[R][kVectors];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][v] = zero();
    }
    const typename Kv::T* tile[kTiles];
    for (int i = 0; i < kTiles; ++i) tile[i] = keys + static_cast<size_t>(t + i) * head_dim * kTile;
#pragma GCC unroll 4
    for (int d = 0; d < head_dim; ++d) {
      Lanes k[kVectors];
      for (int v = 0; v < kVectors; ++v) k[v] = Kv::load(tile[v / kTileVectors] + d * kTile + v % kTileVectors * kWidth);
      if (ahead) {
        const int line = (t / kTiles * head_dim + d) * kBytes;
        if (kBytes >= 64 || line % 64 == 0) {
          for (int i = 0; i < kBytes; i += 64) _mm_prefetch(ahead + line + i, _MM_HINT_T1);
        }
      }
      for (int r = 0; r < R; ++r) {
        const Lanes x = set1(q[r * head_dim + d]);
        for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(x, k[v], sums[r][v]);
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < kVectors; ++v) store(scores[r] + t * kTile + v * kWidth, sums[r][v]);
    }
  }
}

// values[r] = Σ p[r][key] · value[key] over keys [begin, end) of the split, key by key, for V vectors of channels.
template <class Kv, int R, int V>
void weigh_columns(const AttendBlock& b, const float (*p)[kSplit], int column, int begin, int end, bool ahead, float* values) {
  Lanes sums[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) sums[r][v] = zero();
  }
  for (int page = begin / kPage; page * kPage < end; ++page) {
    const char* at = b.base + static_cast<size_t>(b.pages[b.key_begin / kPage + page]) * b.page_stride + b.value_offset;
    const typename Kv::T* rows = reinterpret_cast<const typename Kv::T*>(at) + column;
    const int first = begin > page * kPage ? begin - page * kPage : 0;
    const int last = end < (page + 1) * kPage ? end - page * kPage : kPage;
    const char* later = nullptr;
    if (ahead && (page + kAhead) * kPage < end) {
      later = b.base + static_cast<size_t>(b.pages[b.key_begin / kPage + page + kAhead]) * b.page_stride + b.value_offset +
              column * static_cast<int>(sizeof(typename Kv::T));
    }
#pragma GCC unroll 4
    for (int key = first; key < last; ++key) {
      if (later) {
        constexpr int kBytes = V * kWidth * static_cast<int>(sizeof(typename Kv::T));
        const char* line = later + static_cast<size_t>(key) * b.value_stride * sizeof(typename Kv::T);
        for (int i = 0; i < kBytes; i += 64) _mm_prefetch(line + i, _MM_HINT_T1);
      }
      Lanes x[V];
      for (int v = 0; v < V; ++v) x[v] = Kv::load(rows + key * b.value_stride + v * kWidth);
      for (int r = 0; r < R; ++r) {
        const Lanes w = set1(p[r][page * kPage + key]);
        for (int v = 0; v < V; ++v) sums[r][v] = fma(w, x[v], sums[r][v]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) store(values + r * b.value_stride + column + v * kWidth, sums[r][v]);
  }
}

template <class Kv, int R>
void weigh(const AttendBlock& b, const float (*p)[kSplit], int begin, int end, bool ahead, float* values) {
  constexpr int kVectors = R <= kRows / 2 ? 4 : 2;
  int column = 0;
  for (; column + kVectors * kWidth <= b.value_stride; column += kVectors * kWidth) {
    weigh_columns<Kv, R, kVectors>(b, p, column, begin, end, ahead, values);
  }
  for (; column < b.value_stride; column += kWidth) weigh_columns<Kv, R, 1>(b, p, column, begin, end, ahead, values);
}

// Scores of keys [begin, end) of the split, a multiple of the page, become e^(score - largest): 0 outside [low, high).
void soften(float* s, int begin, int end, int low, int high, float softcap, float* largest_score, float* sums) {
  if (softcap > 0) {
    const Lanes cap = set1(softcap);
    for (int v = begin; v < end; v += kWidth) store(s + v, mul(cap, tanh(div(load(s + v), cap))));
  }
  for (int key = begin; key < low; ++key) s[key] = -__builtin_inff();
  for (int key = high; key < end; ++key) s[key] = -__builtin_inff();
  Lanes top = set1(kNoScore);
  for (int v = begin; v < end; v += kWidth) top = max(load(s + v), top);
  const float now = largest(top);
  const Lanes shift = set1(now);
  Lanes total[kTileVectors];
  for (int v = 0; v < kTileVectors; ++v) total[v] = zero();
  for (int v = begin; v < end; v += kTile) {
    for (int i = 0; i < kTileVectors; ++i) {
      const Lanes e = exp(sub(load(s + v + i * kWidth), shift));
      store(s + v + i * kWidth, e);
      total[i] = add(total[i], e);
    }
  }
  *largest_score = now;
  for (int v = 0; v < kTileVectors; ++v) store(sums + v * kWidth, total[v]);
}

// The split for R queries from `first`. `ahead`: fetch what comes next into the caches.
template <class Kv, int R>
void attend_rows(const AttendBlock& b, int first, bool ahead) {
  int low[R], high[R];  // the split's keys that a query sees: [low, high)
  int begin = kSplit, end = 0;
  const int keys = b.key_end - b.key_begin;
  for (int r = 0; r < R; ++r) {
    const int position = b.position + (first + r) / b.group;
    high[r] = position + 1 - b.key_begin;
    if (high[r] > keys) high[r] = keys;
    low[r] = b.window > 0 ? position + 1 - b.window - b.key_begin : 0;
    if (low[r] < 0) low[r] = 0;
    if (low[r] >= high[r]) {  // sees nothing here
      low[r] = high[r] = 0;
      continue;
    }
    if (low[r] < begin) begin = low[r];
    if (high[r] > end) end = high[r];
  }
  float* values = b.values + static_cast<size_t>(first) * b.value_stride;
  if (begin >= end) {
    for (int r = 0; r < R; ++r) b.largest[first + r] = kNoScore;
    for (int i = 0; i < R * kTile; ++i) b.sums[first * kTile + i] = 0;
    for (int i = 0; i < R * b.value_stride; ++i) values[i] = 0;
    return;
  }
  alignas(64) float s[R][kSplit];
  const int page_begin = begin / kPage, page_end = (end + kPage - 1) / kPage;
  const auto page_at = [&](int i) { return b.base + static_cast<size_t>(b.pages[b.key_begin / kPage + i]) * b.page_stride; };
  if (ahead) {
    for (int i = page_begin; i < page_end && i < page_begin + kAhead; ++i) {
      const char* keys = page_at(i) + b.key_offset;
      for (int line = 0; line < b.head_dim * kPage * static_cast<int>(sizeof(typename Kv::T)); line += 64) _mm_prefetch(keys + line, _MM_HINT_T1);
    }
  }
  for (int i = page_begin; i < page_end; ++i) {
    const char* page = page_at(i);
    // Behind the last keys come the first values.
    const int next = i + kAhead;
    const char* later = next < page_end ? page_at(next) + b.key_offset
                                        : page_at(next - page_end + page_begin < page_end ? next - page_end + page_begin : i) + b.value_offset;
    float(*scores)[kSplit] = reinterpret_cast<float(*)[kSplit]>(&s[0][i * kPage]);
    score_page<Kv, R>(b.q + static_cast<size_t>(first) * b.head_dim, b.head_dim, reinterpret_cast<const typename Kv::T*>(page + b.key_offset),
                      scores, ahead ? later : nullptr);
  }
  for (int r = 0; r < R; ++r) {
    soften(s[r], page_begin * kPage, page_end * kPage, low[r], high[r], b.softcap, &b.largest[first + r], b.sums + (first + r) * kTile);
  }
  weigh<Kv, R>(b, s, begin, end, ahead, values);
}

// Calls attend_rows for the `rows` queries (1 … kRows) from `first`.
template <class Kv, int R>
void attend_some(const AttendBlock& b, int first, int rows) {
  if (rows == R) return attend_rows<Kv, R>(b, first, first == 0);
  if constexpr (R > 1) attend_some<Kv, R - 1>(b, first, rows);
}

template <class Kv>
void attend_all(const AttendBlock& b) {
  for (int first = 0; first < b.queries; first += kRows) {
    attend_some<Kv, kRows>(b, first, b.queries - first < kRows ? b.queries - first : kRows);
  }
}

void attend(const AttendBlock& b) {
  if (b.type == 0) return attend_all<F16>(b);
  if (b.type == 1) return attend_all<Bf16>(b);
  attend_all<F32>(b);
}

void reset(const AttendBlock& b) {
  for (int i = 0; i < b.queries; ++i) b.largest[i] = kNoScore;
  for (int i = 0; i < b.queries * kTile; ++i) b.sums[i] = 0;
  for (int i = 0; i < b.queries * b.value_stride; ++i) b.values[i] = 0;
}

void merge(const AttendBlock& into, const AttendBlock& from) {
  const auto copy = [](float* to, const float* other, int n) {
    for (int k = 0; k < n; ++k) to[k] = other[k];
  };
  for (int i = 0; i < into.queries; ++i) {
    if (from.largest[i] == kNoScore) continue;  // saw no key
    if (into.largest[i] == kNoScore) {
      into.largest[i] = from.largest[i];
      copy(into.sums + i * kTile, from.sums + i * kTile, kTile);
      copy(into.values + i * into.value_stride, from.values + i * into.value_stride, into.value_stride);
      continue;
    }
    const float now = from.largest[i] > into.largest[i] ? from.largest[i] : into.largest[i];
    const Lanes a = exp(set1(into.largest[i] - now)), b = exp(set1(from.largest[i] - now));
    into.largest[i] = now;
    float* sums = into.sums + i * kTile;
    for (int v = 0; v < kTile; v += kWidth) {
      store(sums + v, add(mul(load(sums + v), a), mul(load(from.sums + i * kTile + v), b)));
    }
    float* values = into.values + static_cast<size_t>(i) * into.value_stride;
    const float* other = from.values + static_cast<size_t>(i) * into.value_stride;
    for (int v = 0; v < into.value_stride; v += kWidth) store(values + v, add(mul(load(values + v), a), mul(load(other + v), b)));
  }
}

void finish(const AttendBlock& b, int query, float* out) {
  const float* lanes = b.sums + query * kTile;
  Lanes total = load(lanes);
  for (int v = kWidth; v < kTile; v += kWidth) total = add(total, load(lanes + v));
  const float inverse = 1.0f / sum(total);
  const float* values = b.values + static_cast<size_t>(query) * b.value_stride;
  for (int d = 0; d < b.head_dim; ++d) out[d] = values[d] * inverse;
}

// Sum of squares in kWidth lanes, the tail one by one: rows of a head are short.
float square_sum(const float* x, int n) {
  Lanes lanes = zero();
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) lanes = fma(load(x + i), load(x + i), lanes);
  float total = sum(lanes);
  for (; i < n; ++i) total += x[i] * x[i];
  return total;
}

// (a, b) -> (a cos - b sin, a sin + b cos) · scale for the pairs of a head; pairs (2i, 2i+1) or (i, i + half).
void rotate(const float* __restrict x, const HeadTransform& t, float* __restrict y) {
  const int half = t.rotary_dim / 2;
  const float* __restrict cos = t.cos;
  const float* __restrict sin = t.sin;
  const float scale = t.scale;
  if (!t.interleaved) {
    for (int i = 0; i < half; ++i) {
      const float a = x[i], b = x[i + half];
      y[i] = (a * cos[i] - b * sin[i]) * scale;
      y[i + half] = (a * sin[i] + b * cos[i]) * scale;
    }
  } else {
    for (int i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      y[i] = (a * cos[i] - b * sin[i]) * scale;
      y[i + half] = (a * sin[i] + b * cos[i]) * scale;
    }
  }
  for (int i = 2 * half; i < t.head_dim; ++i) y[i] = x[i] * scale;
}

// Both kinds of pairs leave in half-split order: q·k doesn't mind a permutation of both.
void transform(const float* x, const HeadTransform& t, float* y) {
  if (!t.norm) return rotate(x, t, y);
  float normed[512];
  const float inverse = 1.0f / __builtin_sqrtf(square_sum(x, t.head_dim) / static_cast<float>(t.head_dim) + t.eps);
  for (int i = 0; i < t.head_dim; ++i) normed[i] = x[i] * inverse * t.norm[i];
  rotate(normed, t, y);
}

template <class Kv>
void store_key_as(const float* k, int head_dim, void* head_keys, int token) {
  typename Kv::T* column = static_cast<typename Kv::T*>(head_keys) + static_cast<size_t>(token / kTile) * head_dim * kTile + token % kTile;
  typename Kv::T out[kWidth];
  int d = 0;
  for (; d + kWidth <= head_dim; d += kWidth) {
    Kv::store(out, load(k + d));
    for (int i = 0; i < kWidth; ++i) column[(d + i) * kTile] = out[i];
  }
  if (d == head_dim) return;
  float rest[kWidth] = {};
  for (int i = 0; d + i < head_dim; ++i) rest[i] = k[d + i];
  Kv::store(out, load(rest));
  for (int i = 0; d + i < head_dim; ++i) column[(d + i) * kTile] = out[i];
}

void store_key(const float* k, int head_dim, int type, void* head_keys, int token) {
  if (type == 0) return store_key_as<F16>(k, head_dim, head_keys, token);
  if (type == 1) return store_key_as<Bf16>(k, head_dim, head_keys, token);
  store_key_as<F32>(k, head_dim, head_keys, token);
}

template <class Kv>
void store_value_as(const float* v, int head_dim, int stride, void* head_values, int token) {
  typename Kv::T* row = static_cast<typename Kv::T*>(head_values) + static_cast<size_t>(token) * stride;
  int d = 0;
  for (; d + kWidth <= head_dim; d += kWidth) Kv::store(row + d, load(v + d));
  for (; d < stride; d += kWidth) {  // the padding is zeros, so that its products stay finite
    float in[kWidth];
    for (int i = 0; i < kWidth; ++i) in[i] = d + i < head_dim ? v[d + i] : 0;
    Kv::store(row + d, load(in));
  }
}

void store_value(const float* v, int head_dim, int stride, int type, void* head_values, int token) {
  if (type == 0) return store_value_as<F16>(v, head_dim, stride, head_values, token);
  if (type == 1) return store_value_as<Bf16>(v, head_dim, stride, head_values, token);
  store_value_as<F32>(v, head_dim, stride, head_values, token);
}

}  // namespace

const AttentionKernels attention_kernels = {transform, store_key, store_value, reset, attend, merge, finish};

}  // namespace verge::engine::cpu::VERGE_ISA
