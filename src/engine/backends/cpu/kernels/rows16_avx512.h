// rows16.h for AVX-512 with VNNI and BF16: one register a vector.
#pragma once

namespace verge::engine::cpu::VERGE_ISA {

// What the registers hold at once (32 registers: eight columns of a sum and a total each).
constexpr int kColumnsTogether = 8;
constexpr FloatBlock float_block(int columns) { return {columns <= 4 ? 4 : 2, 8}; }
// A panel fits whole, so its width is a constant in the loop over k.
#define VERGE_COLUMNS VERGE_INLINE

using Codes = __m512i;   // [16][4] u8
using Sums = __m512i;    // [16] i32
using Floats = __m512;   // [16] f32

VERGE_INLINE Codes load_codes(const uint8_t* p) { return _mm512_load_si512(p); }
VERGE_INLINE Codes load_once(const uint8_t* p) {
  Codes x = load_codes(p);
  __asm__("" : "+v"(x));  // keeps the load from being folded into its uses
  return x;
}
VERGE_INLINE Codes low_nibbles(Codes x) { return _mm512_and_si512(x, _mm512_set1_epi8(0x0f)); }
VERGE_INLINE Codes high_nibbles(Codes x) { return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(0x0f)); }
// x | (bits shifted left by Left, or right where it is negative, & mask)
template <int Left>
VERGE_INLINE Codes add_bits(Codes x, Codes bits, char mask) {
  if constexpr (Left > 0) bits = _mm512_slli_epi16(bits, Left);
  if constexpr (Left < 0) bits = _mm512_srli_epi16(bits, -Left);
  return _mm512_ternarylogic_epi32(x, bits, _mm512_set1_epi8(mask), 0xf8);
}

template <int Right>
VERGE_INLINE Codes take_bits(Codes x, char mask) {
  if constexpr (Right > 0) x = _mm512_srli_epi16(x, Right);
  return _mm512_and_si512(x, _mm512_set1_epi8(mask));
}

// Sixteen bytes that codes 0 … 15 stand for.
using Table = __m512i;
VERGE_INLINE Table load_table(const uint8_t* p) { return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
VERGE_INLINE Codes look_up(Table table, Codes x) { return _mm512_shuffle_epi8(table, x); }

// sums[r] += Σ codes[r][i] * a[i], a four i8.
struct Quad {
  __m512i value;
};
template <bool SmallCodes>
VERGE_INLINE Quad load_quad(const uint8_t* p) { return {_mm512_set1_epi32(load_i32(p))}; }
template <bool SmallCodes>
VERGE_INLINE Sums dot(Sums sums, Codes codes, Quad a) { return _mm512_dpbusd_epi32(sums, codes, a.value); }

VERGE_INLINE Sums zero_sums() { return _mm512_setzero_si512(); }
VERGE_INLINE Sums add(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
template <int Shift>
VERGE_INLINE Sums start_sums(const uint8_t* p) { return _mm512_slli_epi32(_mm512_set1_epi32(load_i32(p)), Shift); }

VERGE_INLINE Floats zero_floats() { return _mm512_setzero_ps(); }
VERGE_INLINE Floats to_floats(Sums x) { return _mm512_cvtepi32_ps(x); }
VERGE_INLINE Floats broadcast(float x) { return _mm512_set1_ps(x); }
VERGE_INLINE Floats load(const float* p) { return _mm512_loadu_ps(p); }
VERGE_INLINE void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
VERGE_INLINE Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
VERGE_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
VERGE_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
VERGE_INLINE Floats load_f16(const uint8_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
VERGE_INLINE Floats load_bf16(const uint8_t* p) {
  const __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
template <int Right>
VERGE_INLINE Floats load_nibbles(const uint8_t* p) {
  const __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(x, Right), _mm512_set1_epi32(15)));
}
VERGE_INLINE Floats load_u8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
VERGE_INLINE Floats load_i8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

// acc[r] + w[r][0] * x[0] + w[r][1] * x[1] in bf16 products; the instruction fixes the order.
struct Pairs {
  __m512i value;
};
VERGE_INLINE Pairs load_pairs(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
VERGE_INLINE Floats dot_pairs(Floats acc, Pairs w, int32_t x) {
  return _mm512_dpbf16_ps(acc, (__m512bh)w.value, (__m512bh)_mm512_set1_epi32(x));
}

VERGE_INLINE float largest_magnitude(Floats a, Floats b) { return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b))); }
// round(x[i] * scale) as i8; out of range and NaN give the nearest end.
VERGE_INLINE __m128i to_codes(Floats x, float scale) { return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(scale)))); }
VERGE_INLINE float sum_of(Floats x) { return _mm512_reduce_add_ps(x); }

}  // namespace verge::engine::cpu::VERGE_ISA
