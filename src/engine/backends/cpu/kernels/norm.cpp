// RMS norm and activations on rows. Tails run the vector code on a padded copy, so an element's
// bits don't depend on where a row was cut.
#include "engine/backends/cpu/kernels/norm.h"

#include "engine/backends/cpu/kernels/lanes.h"

namespace verge::engine::cpu::VERGE_ISA {
namespace {

// 1 / sqrt(mean(x²) + eps). Four chains of lanes: the order of summation is fixed by dim alone.
float inverse_rms(const float* x, int64_t dim, float eps) {
  Lanes s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  int64_t i = 0;
  for (; i + 4 * kWidth <= dim; i += 4 * kWidth) {
    const Lanes a = load(x + i), b = load(x + i + kWidth), c = load(x + i + 2 * kWidth), d = load(x + i + 3 * kWidth);
    s0 = fma(a, a, s0);
    s1 = fma(b, b, s1);
    s2 = fma(c, c, s2);
    s3 = fma(d, d, s3);
  }
  float total = sum(add(add(s0, s1), add(s2, s3)));
  for (; i < dim; ++i) total += x[i] * x[i];
  return 1.0f / __builtin_sqrtf(total / static_cast<float>(dim) + eps);
}

void add_rms_norm(float* x, const float* y, int64_t dim, const float* weight, float eps) {
  const float scale = inverse_rms(y, dim, eps);
  for (int64_t i = 0; i < dim; ++i) x[i] += y[i] * scale * weight[i];
}

// Sum of f(x[i]) in two chains of lanes, then what is left of the row: the order is fixed by dim alone.
template <class F>
VERGE_INLINE float sum_over(const float* x, int64_t dim, const F& f) {
  Lanes s0 = zero(), s1 = zero();
  int64_t i = 0;
  for (; i + 2 * kWidth <= dim; i += 2 * kWidth) {
    s0 = VERGE_ISA::add(s0, f(load(x + i)));
    s1 = VERGE_ISA::add(s1, f(load(x + i + kWidth)));
  }
  float total = sum(VERGE_ISA::add(s0, s1));
  if (i == dim) return total;
  float tail[2 * kWidth], out[2 * kWidth];
  for (int k = 0; k < 2 * kWidth; ++k) tail[k] = i + k < dim ? x[i + k] : 0;
  store(out, f(load(tail)));
  store(out + kWidth, f(load(tail + kWidth)));
  for (int k = 0; i + k < dim; ++k) total += out[k];
  return total;
}

// The variance is taken about the mean, in a pass of its own: E[x²] - E[x]² cancels.
void layer_norm(const float* x, int64_t dim, const float* weight, const float* bias, float eps, float* y) {
  const float mean = sum_over(x, dim, [](Lanes v) { return v; }) / static_cast<float>(dim);
  const Lanes m = set1(mean);
  const float variance = sum_over(x, dim, [m](Lanes v) {
                           const Lanes d = sub(v, m);
                           return mul(d, d);
                         }) / static_cast<float>(dim);
  const float scale = 1.0f / __builtin_sqrtf(variance + eps);
  for (int64_t i = 0; i < dim; ++i) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

void add(float* x, const float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] += y[i];
}

// 1 / (1 + e^-x).
VERGE_INLINE Lanes sigmoid(Lanes x) {
  return div(set1(1.0f), VERGE_ISA::add(set1(1.0f), exp(min(sub(zero(), x), set1(88.0f)))));
}

// erf by Abramowitz and Stegun 7.1.26: absolute error below 2e-7.
VERGE_INLINE Lanes erf(Lanes x) {
  const Lanes a = abs(x);
  const Lanes t = div(set1(1.0f), fma(set1(0.3275911f), a, set1(1.0f)));
  Lanes p = set1(1.061405429f);
  p = fma(p, t, set1(-1.453152027f));
  p = fma(p, t, set1(1.421413741f));
  p = fma(p, t, set1(-0.284496736f));
  p = fma(p, t, set1(0.254829592f));
  const Lanes y = sub(set1(1.0f), mul(mul(p, t), exp(sub(zero(), mul(a, a)))));
  return sign_of(x, y);
}

struct Silu {
  static Lanes of(Lanes x) { return mul(x, sigmoid(x)); }
};
// 0.5·x·(1 + tanh u) = x·sigmoid(2u), u = sqrt(2/π)·(x + 0.044715·x³).
struct GeluTanh {
  static Lanes of(Lanes x) {
    const Lanes u2 = mul(mul(x, set1(1.5957691216f)), fma(mul(x, x), set1(0.044715f), set1(1.0f)));
    return mul(x, sigmoid(u2));
  }
};
struct GeluErf {
  static Lanes of(Lanes x) { return mul(mul(x, set1(0.5f)), VERGE_ISA::add(set1(1.0f), erf(mul(x, set1(0.70710678f))))); }
};
struct Relu {
  static Lanes of(Lanes x) { return max(x, zero()); }
};

template <class Function>
void gate_with(const float* gate, const float* up, int64_t count, float* y) {
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) store(y + i, mul(Function::of(load(gate + i)), load(up + i)));
  if (i == count) return;
  float g[kWidth], u[kWidth], out[kWidth];
  for (int k = 0; k < kWidth; ++k) {
    g[k] = i + k < count ? gate[i + k] : 0;
    u[k] = i + k < count ? up[i + k] : 0;
  }
  store(out, mul(Function::of(load(g)), load(u)));
  for (int k = 0; i + k < count; ++k) y[i + k] = out[k];
}

void gate(const float* gate, const float* up, int64_t count, int activation, float* y) {
  switch (activation) {
    case 0: return gate_with<Silu>(gate, up, count, y);
    case 1: return gate_with<GeluTanh>(gate, up, count, y);
    case 2: return gate_with<GeluErf>(gate, up, count, y);
    default: return gate_with<Relu>(gate, up, count, y);
  }
}

template <class Function>
void activate_with(float* x, int64_t count) {
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) store(x + i, Function::of(load(x + i)));
  if (i == count) return;
  float tail[kWidth] = {};
  for (int k = 0; i + k < count; ++k) tail[k] = x[i + k];
  store(tail, Function::of(load(tail)));
  for (int k = 0; i + k < count; ++k) x[i + k] = tail[k];
}

void activate(float* x, int64_t count, int activation) {
  switch (activation) {
    case 0: return activate_with<Silu>(x, count);
    case 1: return activate_with<GeluTanh>(x, count);
    case 2: return activate_with<GeluErf>(x, count);
    default: return activate_with<Relu>(x, count);
  }
}

void softcap(float* x, int64_t count, float cap) {
  const Lanes c = set1(cap);
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) store(x + i, mul(c, tanh(div(load(x + i), c))));
  if (i == count) return;
  float tail[kWidth] = {};
  for (int k = 0; i + k < count; ++k) tail[k] = x[i + k];
  store(tail, mul(c, tanh(div(load(tail), c))));
  for (int k = 0; i + k < count; ++k) x[i + k] = tail[k];
}

}  // namespace

const NormKernels norm_kernels = {add_rms_norm, add, gate, layer_norm, activate, softcap};

}  // namespace verge::engine::cpu::VERGE_ISA
