// One vector of f32 lanes under one name for the instruction set that a kernel file is compiled for:
// 4 lanes of SSE2, 8 of AVX2 + FMA + F16C, 16 of AVX-512. Each function is one or a few instructions. Only
// kernels/*.cpp include this: everything lives in the instruction set's own namespace, so that the
// linker can never keep an AVX-512 body for a caller that runs on less.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns inside its own AVX-512 header (bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define VERGE_INLINE static inline __attribute__((always_inline))

namespace verge::engine::cpu::VERGE_ISA {

#if VERGE_ISA_avx512

using Lanes = __m512;
constexpr int kWidth = 16;
VERGE_INLINE Lanes zero() { return _mm512_setzero_ps(); }
VERGE_INLINE Lanes set1(float x) { return _mm512_set1_ps(x); }
VERGE_INLINE Lanes load(const float* p) { return _mm512_loadu_ps(p); }
VERGE_INLINE void store(float* p, Lanes x) { _mm512_storeu_ps(p, x); }
VERGE_INLINE Lanes add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
VERGE_INLINE Lanes sub(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
VERGE_INLINE Lanes mul(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
VERGE_INLINE Lanes div(Lanes a, Lanes b) { return _mm512_div_ps(a, b); }
VERGE_INLINE Lanes max(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }  // b where a is NaN
VERGE_INLINE Lanes min(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }
VERGE_INLINE Lanes fma(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
VERGE_INLINE Lanes round(Lanes x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// x * 2^n for whole n.
VERGE_INLINE Lanes scale2(Lanes x, Lanes n) { return _mm512_scalef_ps(x, n); }
// y where x >= limit, else 0.
VERGE_INLINE Lanes keep_from(Lanes x, Lanes limit, Lanes y) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), y);
}
VERGE_INLINE Lanes sign_of(Lanes x, Lanes magnitude) {
  const __m512i sign = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(int(0x80000000u)));
  return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(magnitude), sign));
}
VERGE_INLINE Lanes abs(Lanes x) { return _mm512_abs_ps(x); }
VERGE_INLINE Lanes load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
VERGE_INLINE void store_f16(uint16_t* p, Lanes x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
VERGE_INLINE Lanes load_bf16(const uint16_t* p) {
  const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

#elif VERGE_ISA_avx2

using Lanes = __m256;
constexpr int kWidth = 8;
VERGE_INLINE Lanes zero() { return _mm256_setzero_ps(); }
VERGE_INLINE Lanes set1(float x) { return _mm256_set1_ps(x); }
VERGE_INLINE Lanes load(const float* p) { return _mm256_loadu_ps(p); }
VERGE_INLINE void store(float* p, Lanes x) { _mm256_storeu_ps(p, x); }
VERGE_INLINE Lanes add(Lanes a, Lanes b) { return _mm256_add_ps(a, b); }
VERGE_INLINE Lanes sub(Lanes a, Lanes b) { return _mm256_sub_ps(a, b); }
VERGE_INLINE Lanes mul(Lanes a, Lanes b) { return _mm256_mul_ps(a, b); }
VERGE_INLINE Lanes div(Lanes a, Lanes b) { return _mm256_div_ps(a, b); }
VERGE_INLINE Lanes max(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
VERGE_INLINE Lanes min(Lanes a, Lanes b) { return _mm256_min_ps(a, b); }
VERGE_INLINE Lanes fma(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
VERGE_INLINE Lanes round(Lanes x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VERGE_INLINE Lanes scale2(Lanes x, Lanes n) {
  const __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(x, _mm256_castsi256_ps(bits));
}
VERGE_INLINE Lanes keep_from(Lanes x, Lanes limit, Lanes y) { return _mm256_and_ps(_mm256_cmp_ps(x, limit, _CMP_NLT_UQ), y); }
VERGE_INLINE Lanes sign_of(Lanes x, Lanes magnitude) { return _mm256_or_ps(magnitude, _mm256_and_ps(x, _mm256_set1_ps(-0.0f))); }
VERGE_INLINE Lanes abs(Lanes x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
VERGE_INLINE Lanes load_f16(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
VERGE_INLINE void store_f16(uint16_t* p, Lanes x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
VERGE_INLINE Lanes load_bf16(const uint16_t* p) {
  const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

#else  // SSE2, the baseline of x86-64

using Lanes = __m128;
constexpr int kWidth = 4;
VERGE_INLINE Lanes zero() { return _mm_setzero_ps(); }
VERGE_INLINE Lanes set1(float x) { return _mm_set1_ps(x); }
VERGE_INLINE Lanes load(const float* p) { return _mm_loadu_ps(p); }
VERGE_INLINE void store(float* p, Lanes x) { _mm_storeu_ps(p, x); }
VERGE_INLINE Lanes add(Lanes a, Lanes b) { return _mm_add_ps(a, b); }
VERGE_INLINE Lanes sub(Lanes a, Lanes b) { return _mm_sub_ps(a, b); }
VERGE_INLINE Lanes mul(Lanes a, Lanes b) { return _mm_mul_ps(a, b); }
VERGE_INLINE Lanes div(Lanes a, Lanes b) { return _mm_div_ps(a, b); }
VERGE_INLINE Lanes max(Lanes a, Lanes b) { return _mm_max_ps(a, b); }
VERGE_INLINE Lanes min(Lanes a, Lanes b) { return _mm_min_ps(a, b); }
VERGE_INLINE Lanes fma(Lanes a, Lanes b, Lanes c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
VERGE_INLINE Lanes round(Lanes x) { return _mm_cvtepi32_ps(_mm_cvtps_epi32(x)); }  // |x| < 2^31
VERGE_INLINE Lanes scale2(Lanes x, Lanes n) {
  const __m128i bits = _mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127)), 23);
  return _mm_mul_ps(x, _mm_castsi128_ps(bits));
}
VERGE_INLINE Lanes keep_from(Lanes x, Lanes limit, Lanes y) { return _mm_and_ps(_mm_cmpnlt_ps(x, limit), y); }
VERGE_INLINE Lanes sign_of(Lanes x, Lanes magnitude) { return _mm_or_ps(magnitude, _mm_and_ps(x, _mm_set1_ps(-0.0f))); }
VERGE_INLINE Lanes abs(Lanes x) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), x); }
// Finite values only (the cache holds no others): exponent moved by a product, which is exact.
VERGE_INLINE Lanes load_f16(const uint16_t* p) {
  const __m128i h = _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), _mm_setzero_si128());
  const __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16);
  const __m128i magnitude = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x7fff)), 13);
  const __m128 scaled = _mm_mul_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(0x1p112f));
  return _mm_or_ps(scaled, _mm_castsi128_ps(sign));
}
// Round to nearest even; |x| <= 65504. Adding and taking away a power of two rounds subnormals.
VERGE_INLINE uint16_t f16_bits(float x) {
  union { float f; uint32_t u; } v{x};
  const uint32_t sign = v.u & 0x80000000u;
  v.u ^= sign;
  uint32_t half;
  if (v.u < 0x38800000u) {  // below 2^-14: subnormal
    v.f += 0.5f;
    half = v.u - 0x3f000000u;
  } else {
    half = (v.u + 0xc8000fffu + ((v.u >> 13) & 1)) >> 13;
  }
  return static_cast<uint16_t>(half | (sign >> 16));
}
VERGE_INLINE void store_f16(uint16_t* p, Lanes x) {
  float f[4];
  store(f, x);
  for (int i = 0; i < 4; ++i) p[i] = f16_bits(f[i]);
}
VERGE_INLINE Lanes load_bf16(const uint16_t* p) {
  return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

#endif

// Round to nearest even; finite values.
VERGE_INLINE void store_bf16(uint16_t* p, Lanes x) {
  union { float f[kWidth]; uint32_t u[kWidth]; } v;
  store(v.f, x);
  for (int i = 0; i < kWidth; ++i) p[i] = static_cast<uint16_t>((v.u[i] + 0x7fffu + ((v.u[i] >> 16) & 1)) >> 16);
}

// Sum of the lanes, pairwise: the same tree for every call.
VERGE_INLINE float sum(Lanes x) {
  float f[kWidth];
  store(f, x);
  for (int half = kWidth / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) f[i] += f[i + half];
  }
  return f[0];
}
VERGE_INLINE float largest(Lanes x) {
#if VERGE_ISA_avx512
  const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  __m128 y = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
#elif VERGE_ISA_avx2
  __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
#else
  __m128 y = x;
#endif
  y = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(y, _mm_shuffle_ps(y, y, 1)));
}

// e^x to about 1 ulp, for x <= 88; below -87 exactly 0 (so a masked score of -infinity adds nothing).
// x = n·ln 2 + r, |r| <= ln 2 / 2; polynomial of Cephes' expf.
VERGE_INLINE Lanes exp(Lanes x) {
  const Lanes lowest = set1(-87.0f);
  const Lanes bounded = max(x, lowest);
  const Lanes n = round(mul(bounded, set1(1.44269504f)));
  const Lanes r = fma(n, set1(2.12194440e-4f), fma(n, set1(-0.693359375f), bounded));
  Lanes y = set1(1.9875691500e-4f);
  y = fma(y, r, set1(1.3981999507e-3f));
  y = fma(y, r, set1(8.3334519073e-3f));
  y = fma(y, r, set1(4.1665795894e-2f));
  y = fma(y, r, set1(1.6666665459e-1f));
  y = fma(y, r, set1(5.0000001201e-1f));
  y = fma(y, mul(r, r), add(r, set1(1.0f)));
  return keep_from(x, lowest, scale2(y, n));
}

// tanh x = 1 - 2 / (e^2x + 1); absolute error about 1e-7.
VERGE_INLINE Lanes tanh(Lanes x) {
  const Lanes e = exp(min(add(x, x), set1(40.0f)));
  return sub(set1(1.0f), div(set1(2.0f), add(e, set1(1.0f))));
}

}  // namespace verge::engine::cpu::VERGE_ISA
