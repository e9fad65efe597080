// rows16.h for AVX2, FMA and F16C: two registers a vector.
#pragma once

namespace verge::engine::cpu::VERGE_ISA {

// What the registers hold at once (16 registers, two a vector).
constexpr int kColumnsTogether = 2;
// Of floats: eight chains or more, which is what hides the latency of the multiply-add.
constexpr FloatBlock float_block(int columns) { return columns <= 3 ? FloatBlock{2, columns} : FloatBlock{1, columns == 6 ? 6 : 4}; }
// One loop over k for all panel widths.
#define VERGE_COLUMNS static __attribute__((noinline))

struct Codes {
  __m256i part[2];
};
struct Sums {
  __m256i part[2];
};
struct Floats {
  __m256 part[2];
};

VERGE_INLINE __m256i load_256(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
VERGE_INLINE Codes load_codes(const uint8_t* p) { return {{load_256(p), load_256(p + 32)}}; }
VERGE_INLINE Codes load_once(const uint8_t* p) { return load_codes(p); }
VERGE_INLINE Codes low_nibbles(Codes x) {
  const __m256i mask = _mm256_set1_epi8(0x0f);
  return {{_mm256_and_si256(x.part[0], mask), _mm256_and_si256(x.part[1], mask)}};
}
VERGE_INLINE Codes high_nibbles(Codes x) {
  return low_nibbles({{_mm256_srli_epi16(x.part[0], 4), _mm256_srli_epi16(x.part[1], 4)}});
}
template <int Left>
VERGE_INLINE Codes add_bits(Codes x, Codes bits, char mask) {
  for (int i = 0; i < 2; ++i) {
    __m256i b = bits.part[i];
    if constexpr (Left > 0) b = _mm256_slli_epi16(b, Left);
    if constexpr (Left < 0) b = _mm256_srli_epi16(b, -Left);
    x.part[i] = _mm256_or_si256(x.part[i], _mm256_and_si256(b, _mm256_set1_epi8(mask)));
  }
  return x;
}

template <int Right>
VERGE_INLINE Codes take_bits(Codes x, char mask) {
  for (__m256i& part : x.part) part = _mm256_and_si256(Right > 0 ? _mm256_srli_epi16(part, Right) : part, _mm256_set1_epi8(mask));
  return x;
}

using Table = __m256i;
VERGE_INLINE Table load_table(const uint8_t* p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
VERGE_INLINE Codes look_up(Table table, Codes x) {
  return {{_mm256_shuffle_epi8(table, x.part[0]), _mm256_shuffle_epi8(table, x.part[1])}};
}

// Codes below 128: vpmaddubsw's 16-bit sum of two products stays within 2 * 127 * 128, so it is exact. For 8-bit
// codes it would saturate; there even and odd elements are widened to 16 bits instead.
struct Quad {
  __m256i value, odd;
};
template <bool SmallCodes>
VERGE_INLINE Quad load_quad(const uint8_t* p) {
  const __m256i a = _mm256_set1_epi32(load_i32(p));
  if constexpr (SmallCodes) return {a, a};
  return {_mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8), _mm256_srai_epi16(a, 8)};
}
template <bool SmallCodes>
VERGE_INLINE Sums dot(Sums sums, Codes codes, Quad a) {
  for (int i = 0; i < 2; ++i) {
    const __m256i w = codes.part[i];
    if constexpr (SmallCodes) {
      sums.part[i] = _mm256_add_epi32(sums.part[i], _mm256_madd_epi16(_mm256_maddubs_epi16(w, a.value), _mm256_set1_epi16(1)));
    } else {
      const __m256i even = _mm256_and_si256(w, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16(w, 8);
      sums.part[i] = _mm256_add_epi32(sums.part[i], _mm256_add_epi32(_mm256_madd_epi16(even, a.value), _mm256_madd_epi16(odd, a.odd)));
    }
  }
  return sums;
}

VERGE_INLINE Sums zero_sums() { return {{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
VERGE_INLINE Sums add(Sums a, Sums b) { return {{_mm256_add_epi32(a.part[0], b.part[0]), _mm256_add_epi32(a.part[1], b.part[1])}}; }
template <int Shift>
VERGE_INLINE Sums start_sums(const uint8_t* p) {
  const __m256i start = _mm256_slli_epi32(_mm256_set1_epi32(load_i32(p)), Shift);
  return {{start, start}};
}

VERGE_INLINE Floats zero_floats() { return {{_mm256_setzero_ps(), _mm256_setzero_ps()}}; }
VERGE_INLINE Floats to_floats(Sums x) { return {{_mm256_cvtepi32_ps(x.part[0]), _mm256_cvtepi32_ps(x.part[1])}}; }
VERGE_INLINE Floats broadcast(float x) { return {{_mm256_set1_ps(x), _mm256_set1_ps(x)}}; }
VERGE_INLINE Floats load(const float* p) { return {{_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}}; }
VERGE_INLINE void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.part[0]);
  _mm256_storeu_ps(p + 8, x.part[1]);
}
VERGE_INLINE Floats mul(Floats a, Floats b) { return {{_mm256_mul_ps(a.part[0], b.part[0]), _mm256_mul_ps(a.part[1], b.part[1])}}; }
VERGE_INLINE Floats add(Floats a, Floats b) { return {{_mm256_add_ps(a.part[0], b.part[0]), _mm256_add_ps(a.part[1], b.part[1])}}; }
VERGE_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return {{_mm256_fmadd_ps(a.part[0], b.part[0], c.part[0]), _mm256_fmadd_ps(a.part[1], b.part[1], c.part[1])}};
}
VERGE_INLINE __m128i load_128(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
VERGE_INLINE Floats load_f16(const uint8_t* p) { return {{_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 16))}}; }
VERGE_INLINE Floats load_bf16(const uint8_t* p) {
  const __m256i a = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16), b = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p + 16)), 16);
  return {{_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)}};
}
template <int Right>
VERGE_INLINE Floats load_nibbles(const uint8_t* p) {
  const __m128i x = _mm_and_si128(_mm_srli_epi16(load_128(p), Right), _mm_set1_epi8(15));
  return to_floats({{_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_srli_si128(x, 8))}});
}
VERGE_INLINE Floats load_u8(const uint8_t* p) {
  const __m128i x = load_128(p);
  return to_floats({{_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_srli_si128(x, 8))}});
}
VERGE_INLINE Floats load_i8(const uint8_t* p) {
  const __m128i x = load_128(p);
  return to_floats({{_mm256_cvtepi8_epi32(x), _mm256_cvtepi8_epi32(_mm_srli_si128(x, 8))}});
}

// bf16 products are exact in f32; element 0 is added before element 1.
struct Pairs {
  Floats first, second;
};
VERGE_INLINE Pairs load_pairs(const uint8_t* p) {
  Pairs w;
  for (int i = 0; i < 2; ++i) {
    const __m256i x = load_256(p + 32 * i);
    w.first.part[i] = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
    w.second.part[i] = _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  return w;
}
VERGE_INLINE Floats dot_pairs(Floats acc, Pairs w, int32_t x) {
  const __m256i both = _mm256_set1_epi32(x);
  const __m256 first = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
  const __m256 second = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  return fma(w.second, {{second, second}}, fma(w.first, {{first, first}}, acc));
}

VERGE_INLINE float largest_magnitude(Floats a, Floats b) {
  const __m256 clear = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const __m256 x = _mm256_max_ps(_mm256_and_ps(a.part[0], clear), _mm256_and_ps(a.part[1], clear));
  const __m256 y = _mm256_max_ps(_mm256_and_ps(b.part[0], clear), _mm256_and_ps(b.part[1], clear));
  const __m256 most = _mm256_max_ps(x, y);
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_shuffle_ps(half, half, 1)));
}
VERGE_INLINE __m128i to_codes(Floats x, float scale) {
  const __m256 s = _mm256_set1_ps(scale);
  const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(x.part[0], s)), b = _mm256_cvtps_epi32(_mm256_mul_ps(x.part[1], s));
  const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
  return _mm_packs_epi16(low, high);
}
VERGE_INLINE float sum_of(Floats x) {
  const __m256 both = _mm256_add_ps(x.part[0], x.part[1]);
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

}  // namespace verge::engine::cpu::VERGE_ISA
