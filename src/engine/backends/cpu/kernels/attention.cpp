// Attention over the paged cache, for one KV head and a block of queries.
//
// Online softmax (Milakov and Gimelshein 2018; FlashAttention's loop) over whole pages of 32 keys. Keys lie
// transposed, 16 keys to a row of each channel, so a score is built in one lane by head_dim multiply-adds in
// channel order: its bits can't depend on its neighbours. kRows queries share each load of keys and values.
//
// Why a row's bits are the same in any batch: pages start at absolute positions, and a page that is
// masked for a query changes its state by exactly nothing (p = 0, values finite, correction e^0 = 1),
// so it does not matter which pages other queries of the block need.
#include "engine/backends/cpu/kernels/attention.h"

#include <float.h>

#include "engine/backends/cpu/kernels/lanes.h"

namespace verge::engine::cpu::VERGE_ISA {
namespace {

constexpr int kPage = 32;             // limits::kPageTokens, checked in attention.cpp beside the kernels
constexpr int kTile = 16;             // kKeyTile
constexpr int kTileVectors = kTile / kWidth;
constexpr float kNoScore = -1e30f;    // finite, so that the difference of two of them is 0
// Queries that share loads, chosen to fill the register file with accumulators.
constexpr int kRows = kWidth == 16 ? 8 : kWidth == 8 ? 4 : 2;
// Tiles scored together: more independent chains where registers allow.
constexpr int kTiles = kWidth == 16 ? 2 : 1;

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

// scores[r][key] = q[r] · key, for R queries and the page's first `tiles` tiles.
template <class Kv, int R>
void score_page(const float* q, int head_dim, const typename Kv::T* keys, int tiles, float (*scores)[kPage]) {
  for (int t = 0; t < tiles; t += kTiles) {
    constexpr int kVectors = kTiles * kTileVectors;
    Lanes sums[R][kVectors];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][v] = zero();
    }
    const typename Kv::T* tile[kTiles];
    for (int i = 0; i < kTiles; ++i) tile[i] = keys + static_cast<size_t>(t + i) * head_dim * kTile;
    for (int d = 0; d < head_dim; ++d) {
      Lanes k[kVectors];
      for (int v = 0; v < kVectors; ++v) k[v] = Kv::load(tile[v / kTileVectors] + d * kTile + v % kTileVectors * kWidth);
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

// values[r] = values[r] * correction[r] + Σ p[r][key] · value[key] over keys [begin, end), key by key.
template <class Kv, int R, int V>
void weigh_columns(const float (*p)[kPage], const float* correction, const typename Kv::T* page, int stride, int begin, int end,
                   float* values) {
  Lanes sums[R][V];
  for (int r = 0; r < R; ++r) {
    const Lanes c = set1(correction[r]);
    for (int v = 0; v < V; ++v) sums[r][v] = mul(load(values + r * stride + v * kWidth), c);
  }
  for (int key = begin; key < end; ++key) {
    Lanes x[V];
    for (int v = 0; v < V; ++v) x[v] = Kv::load(page + key * stride + v * kWidth);
    for (int r = 0; r < R; ++r) {
      const Lanes w = set1(p[r][key]);
      for (int v = 0; v < V; ++v) sums[r][v] = fma(w, x[v], sums[r][v]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) store(values + r * stride + v * kWidth, sums[r][v]);
  }
}

template <class Kv, int R>
void weigh_page(const float (*p)[kPage], const float* correction, const typename Kv::T* page, int stride, int begin, int end,
                float* values) {
  constexpr int kVectors = R <= kRows / 2 ? 4 : 2;
  int d = 0;
  for (; d + kVectors * kWidth <= stride; d += kVectors * kWidth) {
    weigh_columns<Kv, R, kVectors>(p, correction, page + d, stride, begin, end, values + d);
  }
  for (; d < stride; d += kWidth) weigh_columns<Kv, R, 1>(p, correction, page + d, stride, begin, end, values + d);
}

// One page for R queries from `first`.
template <class Kv, int R>
void attend_page(const AttendBlock& b, int first, int page_start) {
  int low[R], high[R];  // the page's keys that a query sees: [low, high)
  int begin = kPage, end = 0;
  bool whole = true;
  const int key_limit = b.key_end - page_start;
  for (int r = 0; r < R; ++r) {
    const int position = b.position + (first + r) / b.group;
    high[r] = position + 1 - page_start;
    if (high[r] > key_limit) high[r] = key_limit;
    if (high[r] > kPage) high[r] = kPage;
    low[r] = b.window > 0 ? position + 1 - b.window - page_start : 0;
    if (low[r] < 0) low[r] = 0;
    if (low[r] > kPage) low[r] = kPage;
    whole = whole && low[r] == 0 && high[r] == kPage;
    if (low[r] >= high[r]) continue;
    if (low[r] < begin) begin = low[r];
    if (high[r] > end) end = high[r];
  }
  if (begin >= end) return;

  const char* page = b.base + static_cast<size_t>(b.pages[page_start / kPage]) * b.page_stride;
  const int tiles = kTiles == 1 && end <= kTile ? 1 : kPage / kTile;
  alignas(64) float s[R][kPage];
  float correction[R];
  score_page<Kv, R>(b.q + static_cast<size_t>(first) * b.head_dim, b.head_dim,
                    reinterpret_cast<const typename Kv::T*>(page + b.key_offset), tiles, s);
  for (int r = 0; r < R; ++r) {
    if (b.softcap > 0) {
      const Lanes cap = set1(b.softcap);
      for (int v = 0; v < tiles * kTile; v += kWidth) store(s[r] + v, mul(cap, tanh(div(load(s[r] + v), cap))));
    }
    if (!whole) {
      for (int key = 0; key < low[r]; ++key) s[r][key] = -__builtin_inff();
      for (int key = high[r] > 0 ? high[r] : 0; key < kPage; ++key) s[r][key] = -__builtin_inff();
    }
    Lanes top = load(s[r]);
    for (int v = kWidth; v < kPage; v += kWidth) top = max(load(s[r] + v), top);
    const float before = b.largest[first + r];
    const float page_top = largest(top);
    const float now = page_top > before ? page_top : before;
    // e^(before - now): exactly 1 where the largest stays, without the work.
    correction[r] = 1.0f;
    if (now != before) {
      float e[kWidth];
      store(e, exp(set1(before - now)));
      correction[r] = e[0];
    }
    b.largest[first + r] = now;
    float* sums = b.sums + (first + r) * kTile;
    const Lanes shift = set1(now), c = set1(correction[r]);
    Lanes total[kTileVectors];
    for (int v = 0; v < kTileVectors; ++v) total[v] = mul(load(sums + v * kWidth), c);
    for (int v = 0; v < kPage / kWidth; ++v) {
      const Lanes e = exp(sub(load(s[r] + v * kWidth), shift));
      store(s[r] + v * kWidth, e);
      total[v % kTileVectors] = add(total[v % kTileVectors], e);
    }
    for (int v = 0; v < kTileVectors; ++v) store(sums + v * kWidth, total[v]);
  }
  weigh_page<Kv, R>(s, correction, reinterpret_cast<const typename Kv::T*>(page + b.value_offset), b.value_stride, begin, end,
                    b.values + static_cast<size_t>(first) * b.value_stride);
}

// Calls attend_page for the `rows` queries (1 … kRows) from `first`.
template <class Kv, int R>
void attend_rows(const AttendBlock& b, int first, int rows, int page_start) {
  if (rows == R) return attend_page<Kv, R>(b, first, page_start);
  if constexpr (R > 1) attend_rows<Kv, R - 1>(b, first, rows, page_start);
}

template <class Kv>
void attend_all(const AttendBlock& b) {
  for (int start = b.key_begin; start < b.key_end; start += kPage) {
    for (int first = 0; first < b.queries; first += kRows) {
      const int rows = b.queries - first < kRows ? b.queries - first : kRows;
      attend_rows<Kv, kRows>(b, first, rows, start);
    }
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

void transform(const float* x, const HeadTransform& t, float* y) {
  const int half = t.rotary_dim / 2;
  float normed[512];
  if (t.norm) {
    const float inverse = 1.0f / __builtin_sqrtf(square_sum(x, t.head_dim) / static_cast<float>(t.head_dim) + t.eps);
    for (int i = 0; i < t.head_dim; ++i) normed[i] = x[i] * inverse * t.norm[i];
    x = normed;
  }
  // Both kinds of pairs leave in half-split order: q·k doesn't mind a permutation of both.
  if (t.interleaved) {
    for (int i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      y[i] = (a * t.cos[i] - b * t.sin[i]) * t.scale;
      y[i + half] = (a * t.sin[i] + b * t.cos[i]) * t.scale;
    }
  } else {
    for (int i = 0; i < half; ++i) {
      const float a = x[i], b = x[i + half];
      y[i] = (a * t.cos[i] - b * t.sin[i]) * t.scale;
      y[i + half] = (a * t.sin[i] + b * t.cos[i]) * t.scale;
    }
  }
  for (int i = 2 * half; i < t.head_dim; ++i) y[i] = x[i] * t.scale;
}

template <class Kv>
void store_key_as(const float* k, int head_dim, void* head_keys, int token) {
  typename Kv::T* column = static_cast<typename Kv::T*>(head_keys) + static_cast<size_t>(token / kTile) * head_dim * kTile + token % kTile;
  for (int d = 0; d < head_dim; d += kWidth) {
    float in[kWidth];
    typename Kv::T out[kWidth];
    const int count = head_dim - d < kWidth ? head_dim - d : kWidth;
    for (int i = 0; i < kWidth; ++i) in[i] = i < count ? k[d + i] : 0;
    Kv::store(out, load(in));
    for (int i = 0; i < count; ++i) column[(d + i) * kTile] = out[i];
  }
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
