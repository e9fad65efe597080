// rows16.h for SSE2, which every x86-64 has: four registers a vector.
#pragma once

namespace verge::engine::cpu::VERGE_ISA {

// What the registers hold at once (16 registers, four a vector).
constexpr int kColumnsTogether = 1;
constexpr FloatBlock float_block(int) { return {1, 1}; }
// One loop over k for all panel widths.
#define VERGE_COLUMNS static __attribute__((noinline))

struct Codes {
  __m128i part[4];
};
struct Sums {
  __m128i part[4];
};
struct Floats {
  __m128 part[4];
};

VERGE_INLINE __m128i load_128(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
VERGE_INLINE Codes load_codes(const uint8_t* p) { return {{load_128(p), load_128(p + 16), load_128(p + 32), load_128(p + 48)}}; }
VERGE_INLINE Codes load_once(const uint8_t* p) { return load_codes(p); }
VERGE_INLINE Codes low_nibbles(Codes x) {
  for (__m128i& part : x.part) part = _mm_and_si128(part, _mm_set1_epi8(0x0f));
  return x;
}
VERGE_INLINE Codes high_nibbles(Codes x) {
  for (__m128i& part : x.part) part = _mm_and_si128(_mm_srli_epi16(part, 4), _mm_set1_epi8(0x0f));
  return x;
}
template <int Left>
VERGE_INLINE Codes add_bits(Codes x, Codes bits, char mask) {
  for (int i = 0; i < 4; ++i) {
    __m128i b = bits.part[i];
    if constexpr (Left > 0) b = _mm_slli_epi16(b, Left);
    if constexpr (Left < 0) b = _mm_srli_epi16(b, -Left);
    x.part[i] = _mm_or_si128(x.part[i], _mm_and_si128(b, _mm_set1_epi8(mask)));
  }
  return x;
}

template <int Right>
VERGE_INLINE Codes take_bits(Codes x, char mask) {
  for (__m128i& part : x.part) part = _mm_and_si128(Right > 0 ? _mm_srli_epi16(part, Right) : part, _mm_set1_epi8(mask));
  return x;
}

// SSE2 has no look-up: byte by byte.
struct Table {
  uint8_t value[16];
};
VERGE_INLINE Table load_table(const uint8_t* p) {
  Table table;
  memcpy(table.value, p, 16);
  return table;
}
VERGE_INLINE Codes look_up(const Table& table, const Codes& x) {
  uint8_t bytes[64];
  memcpy(bytes, &x, 64);
  for (uint8_t& byte : bytes) byte = table.value[byte];
  return load_codes(bytes);
}

struct Quad {
  __m128i even, odd;  // i16 pairs (a0, a2) and (a1, a3)
};
template <bool SmallCodes>
VERGE_INLINE Quad load_quad(const uint8_t* p) {
  const __m128i a = _mm_set1_epi32(load_i32(p));
  return {_mm_srai_epi16(_mm_slli_epi16(a, 8), 8), _mm_srai_epi16(a, 8)};
}
template <bool SmallCodes>
VERGE_INLINE Sums dot(Sums sums, Codes codes, Quad a) {
  for (int i = 0; i < 4; ++i) {
    const __m128i even = _mm_and_si128(codes.part[i], _mm_set1_epi16(0xff)), odd = _mm_srli_epi16(codes.part[i], 8);
    sums.part[i] = _mm_add_epi32(sums.part[i], _mm_add_epi32(_mm_madd_epi16(even, a.even), _mm_madd_epi16(odd, a.odd)));
  }
  return sums;
}

VERGE_INLINE Sums zero_sums() {
  const __m128i zero = _mm_setzero_si128();
  return {{zero, zero, zero, zero}};
}
VERGE_INLINE Sums add(Sums a, Sums b) {
  for (int i = 0; i < 4; ++i) a.part[i] = _mm_add_epi32(a.part[i], b.part[i]);
  return a;
}
template <int Shift>
VERGE_INLINE Sums start_sums(const uint8_t* p) {
  const __m128i start = _mm_slli_epi32(_mm_set1_epi32(load_i32(p)), Shift);
  return {{start, start, start, start}};
}

VERGE_INLINE Floats broadcast(float x) {
  const __m128 all = _mm_set1_ps(x);
  return {{all, all, all, all}};
}
VERGE_INLINE Floats zero_floats() { return broadcast(0); }
VERGE_INLINE Floats to_floats(Sums x) {
  return {{_mm_cvtepi32_ps(x.part[0]), _mm_cvtepi32_ps(x.part[1]), _mm_cvtepi32_ps(x.part[2]), _mm_cvtepi32_ps(x.part[3])}};
}
VERGE_INLINE Floats load(const float* p) { return {{_mm_loadu_ps(p), _mm_loadu_ps(p + 4), _mm_loadu_ps(p + 8), _mm_loadu_ps(p + 12)}}; }
VERGE_INLINE void store(float* p, Floats x) {
  for (int i = 0; i < 4; ++i) _mm_storeu_ps(p + 4 * i, x.part[i]);
}
VERGE_INLINE Floats mul(Floats a, Floats b) {
  for (int i = 0; i < 4; ++i) a.part[i] = _mm_mul_ps(a.part[i], b.part[i]);
  return a;
}
VERGE_INLINE Floats add(Floats a, Floats b) {
  for (int i = 0; i < 4; ++i) a.part[i] = _mm_add_ps(a.part[i], b.part[i]);
  return a;
}
VERGE_INLINE Floats fma(Floats a, Floats b, Floats c) { return add(mul(a, b), c); }

// The exponent is moved by an exact product, which normalises subnormals too; infinity and NaN get theirs by hand.
VERGE_INLINE __m128 widen_f16(__m128i h) {
  const __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16);
  const __m128i magnitude = _mm_and_si128(h, _mm_set1_epi32(0x7fff));
  const __m128 scaled = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)), _mm_set1_ps(0x1p112f));
  const __m128i special = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff)), _mm_set1_epi32(0x7f800000));
  return _mm_or_ps(scaled, _mm_castsi128_ps(_mm_or_si128(sign, special)));
}
VERGE_INLINE Floats load_f16(const uint8_t* p) {
  const __m128i zero = _mm_setzero_si128(), a = load_128(p), b = load_128(p + 16);
  return {{widen_f16(_mm_unpacklo_epi16(a, zero)), widen_f16(_mm_unpackhi_epi16(a, zero)), widen_f16(_mm_unpacklo_epi16(b, zero)),
           widen_f16(_mm_unpackhi_epi16(b, zero))}};
}
VERGE_INLINE Floats load_bf16(const uint8_t* p) {
  const __m128i zero = _mm_setzero_si128(), a = load_128(p), b = load_128(p + 16);
  return {{_mm_castsi128_ps(_mm_unpacklo_epi16(zero, a)), _mm_castsi128_ps(_mm_unpackhi_epi16(zero, a)),
           _mm_castsi128_ps(_mm_unpacklo_epi16(zero, b)), _mm_castsi128_ps(_mm_unpackhi_epi16(zero, b))}};
}
VERGE_INLINE Floats widen_u8(__m128i x) {
  const __m128i zero = _mm_setzero_si128(), a = _mm_unpacklo_epi8(x, zero), b = _mm_unpackhi_epi8(x, zero);
  return to_floats({{_mm_unpacklo_epi16(a, zero), _mm_unpackhi_epi16(a, zero), _mm_unpacklo_epi16(b, zero), _mm_unpackhi_epi16(b, zero)}});
}
template <int Right>
VERGE_INLINE Floats load_nibbles(const uint8_t* p) { return widen_u8(_mm_and_si128(_mm_srli_epi16(load_128(p), Right), _mm_set1_epi8(15))); }
VERGE_INLINE Floats load_u8(const uint8_t* p) { return widen_u8(load_128(p)); }
VERGE_INLINE Floats load_i8(const uint8_t* p) {
  const __m128i x = load_128(p), a = _mm_unpacklo_epi8(x, x), b = _mm_unpackhi_epi8(x, x);
  return to_floats({{_mm_srai_epi32(_mm_unpacklo_epi16(a, a), 24), _mm_srai_epi32(_mm_unpackhi_epi16(a, a), 24),
                     _mm_srai_epi32(_mm_unpacklo_epi16(b, b), 24), _mm_srai_epi32(_mm_unpackhi_epi16(b, b), 24)}});
}

struct Pairs {
  Floats first, second;
};
VERGE_INLINE Pairs load_pairs(const uint8_t* p) {
  Pairs w;
  for (int i = 0; i < 4; ++i) {
    const __m128i x = load_128(p + 16 * i);
    w.first.part[i] = _mm_castsi128_ps(_mm_slli_epi32(x, 16));
    w.second.part[i] = _mm_castsi128_ps(_mm_and_si128(x, _mm_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  return w;
}
VERGE_INLINE Floats dot_pairs(Floats acc, Pairs w, int32_t x) {
  const __m128i both = _mm_set1_epi32(x);
  const __m128 first = _mm_castsi128_ps(_mm_slli_epi32(both, 16));
  const __m128 second = _mm_castsi128_ps(_mm_and_si128(both, _mm_set1_epi32(static_cast<int>(0xffff0000u))));
  return fma(w.second, {{second, second, second, second}}, fma(w.first, {{first, first, first, first}}, acc));
}

VERGE_INLINE float largest_magnitude(Floats a, Floats b) {
  const __m128 clear = _mm_castsi128_ps(_mm_set1_epi32(0x7fffffff));
  __m128 most = _mm_and_ps(a.part[0], clear);
  for (int i = 1; i < 4; ++i) most = _mm_max_ps(most, _mm_and_ps(a.part[i], clear));
  for (int i = 0; i < 4; ++i) most = _mm_max_ps(most, _mm_and_ps(b.part[i], clear));
  most = _mm_max_ps(most, _mm_movehl_ps(most, most));
  return _mm_cvtss_f32(_mm_max_ss(most, _mm_shuffle_ps(most, most, 1)));
}
VERGE_INLINE __m128i to_codes(Floats x, float scale) {
  const __m128 s = _mm_set1_ps(scale);
  __m128i q[4];
  for (int i = 0; i < 4; ++i) q[i] = _mm_cvtps_epi32(_mm_mul_ps(x.part[i], s));
  return _mm_packs_epi16(_mm_packs_epi32(q[0], q[1]), _mm_packs_epi32(q[2], q[3]));
}
VERGE_INLINE float sum_of(Floats x) {
  __m128 sum = _mm_add_ps(_mm_add_ps(x.part[0], x.part[1]), _mm_add_ps(x.part[2], x.part[3]));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_shuffle_ps(sum, sum, 1)));
}

}  // namespace verge::engine::cpu::VERGE_ISA
