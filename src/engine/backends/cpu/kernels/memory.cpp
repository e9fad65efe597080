// Softmax and weighted values of attention without a mask, and layer norm. Every sum has one order, fixed by the
// number of keys or channels alone, so a query's bits don't depend on what else is in the call.
#include "engine/backends/cpu/kernels/memory.h"

#include "engine/backends/cpu/kernels/lanes.h"

namespace verge::engine::cpu::VERGE_ISA {
namespace {

constexpr int kGroup = 16;
constexpr int kParts = kGroup / kWidth;  // vectors of a group

// Whatever is stored is finite: an infinite score would make a row of NaN.
VERGE_INLINE Lanes finite_half(Lanes x) { return max(min(x, set1(65504.0f)), set1(-65504.0f)); }

void store_keys(const float* x, int64_t stride, int count, int head_dim, uint16_t* group) {
  for (int d = 0; d < head_dim; ++d) {
    float lane[kGroup] = {};
    for (int i = 0; i < count; ++i) lane[i] = x[i * stride + d];
    for (int p = 0; p < kParts; ++p) store_f16(group + d * kGroup + p * kWidth, finite_half(load(lane + p * kWidth)));
  }
}

void store_values(const float* x, int head_dim, int64_t plane, uint16_t* values) {
  for (int d = 0; d < head_dim; d += kGroup, values += plane * kGroup) {
    for (int p = 0; p < kParts; ++p) store_f16(values + p * kWidth, finite_half(load(x + d + p * kWidth)));
  }
}

void soften(float* tile, int64_t keys, int width, int columns, float* sums) {
  const int64_t groups = (keys + kGroup - 1) / kGroup, whole = keys / kGroup;
  const int64_t step = static_cast<int64_t>(width) * kGroup;
  const int rest = static_cast<int>(keys - whole * kGroup);
  for (int c = 0; c < columns; ++c) {
    float* column = tile + c * kGroup;
    if (rest > 0) {
      for (int i = rest; i < kGroup; ++i) column[whole * step + i] = -__builtin_inff();
    }
    Lanes most[kParts];
    for (int p = 0; p < kParts; ++p) most[p] = load(column + p * kWidth);
    for (int64_t g = 1; g < groups; ++g) {
      for (int p = 0; p < kParts; ++p) most[p] = max(most[p], load(column + g * step + p * kWidth));
    }
    float top = largest(most[0]);
    for (int p = 1; p < kParts; ++p) {
      const float other = largest(most[p]);
      top = other > top ? other : top;
    }
    const Lanes shift = set1(top);
    Lanes total[kParts];
    for (int p = 0; p < kParts; ++p) total[p] = zero();
    for (int64_t g = 0; g < groups; ++g) {
      for (int p = 0; p < kParts; ++p) {
        float* at = column + g * step + p * kWidth;
        const Lanes e = exp(sub(load(at), shift));
        store(at, e);
        total[p] = add(total[p], e);
      }
    }
    float sum_of_parts = 0;
    for (int p = 0; p < kParts; ++p) sum_of_parts += sum(total[p]);
    sums[c] = sum_of_parts;
  }
}

// G planes of 16 channels times C columns. Two keys at a time would not change the order: one chain a channel.
template <int G, int C>
VERGE_INLINE void weigh_block(const float* tile, int64_t keys, int width, const float* sums, const uint16_t* values, int64_t plane, float* out, int64_t stride) {
  Lanes acc[G * kParts][C];
  for (int g = 0; g < G * kParts; ++g) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) acc[g][c] = zero();
  }
  const int64_t step = static_cast<int64_t>(width) * kGroup;
  for (int64_t k = 0; k < keys; ++k) {
    const float* p = tile + k / kGroup * step + k % kGroup;
#pragma GCC unroll 8
    for (int g = 0; g < G * kParts; ++g) {
      const Lanes v = load_f16(values + (g / kParts) * plane * kGroup + k * kGroup + (g % kParts) * kWidth);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) acc[g][c] = fma(v, set1(p[c * kGroup]), acc[g][c]);
    }
  }
#pragma GCC unroll 8
  for (int g = 0; g < G * kParts; ++g) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) store(out + c * stride + (g / kParts) * kGroup + (g % kParts) * kWidth, div(acc[g][c], set1(sums[c])));
  }
}

// Planes that the registers hold together with four columns.
constexpr int kPlanes = kWidth == 16 ? 4 : 1;

template <int G>
VERGE_INLINE void weigh_planes(const float* tile, int64_t keys, int width, int columns, const float* sums, const uint16_t* values, int64_t plane,
                               float* out, int64_t stride) {
  int c = 0;
  for (; c + 4 <= columns; c += 4) weigh_block<G, 4>(tile + c * kGroup, keys, width, sums + c, values, plane, out + c * stride, stride);
  for (; c < columns; ++c) weigh_block<G, 1>(tile + c * kGroup, keys, width, sums + c, values, plane, out + c * stride, stride);
}

void weigh(const float* tile, int64_t keys, int width, int columns, const float* sums, const uint16_t* values, int64_t plane, int head_dim,
           float* out, int64_t stride) {
  int planes = head_dim / kGroup;
  for (; planes >= kPlanes; planes -= kPlanes, values += kPlanes * plane * kGroup, out += kPlanes * kGroup) {
    weigh_planes<kPlanes>(tile, keys, width, columns, sums, values, plane, out, stride);
  }
  for (; planes > 0; --planes, values += plane * kGroup, out += kGroup) weigh_planes<1>(tile, keys, width, columns, sums, values, plane, out, stride);
}

}  // namespace

extern const MemoryKernels memory_kernels = {store_keys, store_values, soften, weigh};

}  // namespace verge::engine::cpu::VERGE_ISA
