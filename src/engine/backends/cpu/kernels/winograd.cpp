// Winograd's transforms (contract and sources: winograd.h). Both are a product by the same small matrix from the left and from the right:
// columns first, then rows, a vector of channels at a time. Points come in pairs p, -p, whose rows share their even and their odd half.
#include "engine/backends/cpu/kernels/winograd.h"

#include "engine/backends/cpu/kernels/lanes.h"

namespace verge::engine::cpu::VERGE_ISA {
namespace {

constexpr float kA = kWinogradA, kB = kWinogradB, kA2 = kA * kA, kB2 = kB * kB;
constexpr int kPanel = 16;

// Bt: values of the polynomials that vanish at all points but one, by their coefficients.
VERGE_INLINE void to_products(const Lanes d[6], Lanes v[6]) {
  const Lanes both = set1(-(kA2 + kB2)), product = set1(kA2 * kB2);
  v[0] = fma(product, d[0], fma(both, d[2], d[4]));
  const Lanes even_a = fma(set1(-kB2), d[2], d[4]), odd_a = fma(set1(-kA * kB2), d[1], mul(set1(kA), d[3]));
  v[1] = add(even_a, odd_a);
  v[2] = sub(even_a, odd_a);
  const Lanes even_b = fma(set1(-kA2), d[2], d[4]), odd_b = fma(set1(-kB * kA2), d[1], mul(set1(kB), d[3]));
  v[3] = add(even_b, odd_b);
  v[4] = sub(even_b, odd_b);
  v[5] = fma(product, d[1], fma(both, d[3], d[5]));
}

// At: row k is the k-th power of each point.
VERGE_INLINE void to_outputs(const Lanes m[6], Lanes y[4]) {
  const Lanes even_a = add(m[1], m[2]), odd_a = sub(m[1], m[2]), even_b = add(m[3], m[4]), odd_b = sub(m[3], m[4]);
  y[0] = add(m[0], add(even_a, even_b));
  y[1] = fma(set1(kA), odd_a, mul(set1(kB), odd_b));
  y[2] = fma(set1(kA2), even_a, mul(set1(kB2), even_b));
  y[3] = fma(set1(kA2 * kA), odd_a, fma(set1(kB2 * kB), odd_b, m[5]));
}

void input(const float* const* pixels, int64_t channels, float* to, int64_t stride) {
  for (int64_t c = 0; c < channels; c += kWidth) {
    Lanes half[6][6];
#pragma GCC unroll 6
    for (int x = 0; x < 6; ++x) {
      Lanes d[6], v[6];
#pragma GCC unroll 6
      for (int y = 0; y < 6; ++y) d[y] = load(pixels[y * 6 + x] + c);
      to_products(d, v);
#pragma GCC unroll 6
      for (int y = 0; y < 6; ++y) half[y][x] = v[y];
    }
#pragma GCC unroll 6
    for (int y = 0; y < 6; ++y) {
      Lanes v[6];
      to_products(half[y], v);
#pragma GCC unroll 6
      for (int x = 0; x < 6; ++x) store(to + (y * 6 + x) * stride + c, v[x]);
    }
  }
}

void output(const WinogradOutput& o) {
  const Lanes low = set1(o.low), high = set1(o.high);
  for (int64_t c = 0; c < kPanel; c += kWidth) {
    Lanes half[4][6];
#pragma GCC unroll 6
    for (int x = 0; x < 6; ++x) {
      Lanes m[6], v[4];
#pragma GCC unroll 6
      for (int y = 0; y < 6; ++y) m[y] = load(o.sums + (y * 6 + x) * o.stride + c);
      to_outputs(m, v);
#pragma GCC unroll 4
      for (int y = 0; y < 4; ++y) half[y][x] = v[y];
    }
    const Lanes bias = load(o.bias + c);
    for (int y = 0; y < o.rows; ++y) {
      Lanes v[4];
      to_outputs(half[y], v);
      for (int x = 0; x < o.columns; ++x) {
        const int64_t at = y * o.row + x * o.pixel + c;
        Lanes sum = add(v[x], bias);
        if (o.add) sum = add(sum, load(o.add + at));
        store(o.y + at, min(max(sum, low), high));
      }
    }
  }
}

}  // namespace

const WinogradKernels winograd_kernels = {input, output};

}  // namespace verge::engine::cpu::VERGE_ISA
