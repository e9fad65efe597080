// GGUF's storage blocks as they lie in the file: little-endian, packed. MXFP4's have an odd size, so
// readers copy a block before they look into it.
// Source of the layouts: ggml-common.h of ggml, the format's reference.
//
// Plain structs and declarations only, nothing inline: CPU kernels include this header and are
// compiled once per instruction set. info(), to_string() and dequantize() of engine/tensor.h live
// in quantized.cpp too.
#pragma once

#include <cstdint>

namespace verge::engine {

inline constexpr int kBlock = 32;        // elements of a Q4_0 … Q8_0 block
inline constexpr int kSuperBlock = 256;  // elements of a K-quant block

// x[j] = d * (low nibble of qs[j] - 8), x[j + 16] = d * (high nibble of qs[j] - 8)
struct BlockQ4_0 {
  uint16_t d;  // f16
  uint8_t qs[kBlock / 2];
};

// x[j] = d * (low nibble of qs[j]) + m, x[j + 16] the same with the high nibble
struct BlockQ4_1 {
  uint16_t d, m;  // f16
  uint8_t qs[kBlock / 2];
};

// As Q4_0 with a fifth bit: bit j of qh (little-endian) belongs to element j; x = d * (q - 16)
struct BlockQ5_0 {
  uint16_t d;  // f16
  uint8_t qh[4];
  uint8_t qs[kBlock / 2];
};

// As Q4_1 with a fifth bit: x = d * q + m
struct BlockQ5_1 {
  uint16_t d, m;  // f16
  uint8_t qh[4];
  uint8_t qs[kBlock / 2];
};

// x[j] = d * qs[j]
struct BlockQ8_0 {
  uint16_t d;  // f16
  int8_t qs[kBlock];
};

// Eight sub-blocks of 32: x = (d * scale[s]) * q - (dmin * min[s]), scale and min 6 bits each, packed
// (see scale_min_k4). Sub-blocks 2i and 2i + 1 share qs[32 i … 32 i + 31]: low nibbles, high nibbles.
struct BlockQ4_K {
  uint16_t d, dmin;  // f16
  uint8_t scales[12];
  uint8_t qs[kSuperBlock / 2];
};

// As Q4_K with a fifth bit: bit s of qh[l] belongs to element l of sub-block s
struct BlockQ5_K {
  uint16_t d, dmin;  // f16
  uint8_t scales[12];
  uint8_t qh[kSuperBlock / 8];
  uint8_t qs[kSuperBlock / 2];
};

// Sixteen sub-blocks of 16: x = (d * scales[s]) * (q - 32). In each half of 128 elements, with l < 32:
// element l      = ql[l] low nibble       | bits 0-1 of qh[l],  element l + 32 = ql[l + 32] low  | bits 2-3,
// element l + 64 = ql[l] high nibble      | bits 4-5,           element l + 96 = ql[l + 32] high | bits 6-7.
struct BlockQ6_K {
  uint8_t ql[kSuperBlock / 2];
  uint8_t qh[kSuperBlock / 4];
  int8_t scales[kSuperBlock / 16];
  uint16_t d;  // f16
};

// Sixteen sub-blocks of 16: x = (d * low nibble of scales[s]) * q - (dmin * high nibble). Element
// 128 h + 32 j + l has bits 2j, 2j + 1 of qs[32 h + l].
struct BlockQ2_K {
  uint8_t scales[kSuperBlock / 16];
  uint8_t qs[kSuperBlock / 4];
  uint16_t d, dmin;  // f16
};

// Sixteen sub-blocks of 16: x = d * (scale - 32) * q. Low bits of q as in Q2_K; element 32 i + l is 4
// less where bit i of hmask[l] is clear. Scales have 6 bits (see codebooks.cpp).
struct BlockQ3_K {
  uint8_t hmask[kSuperBlock / 8];
  uint8_t qs[kSuperBlock / 4];
  uint8_t scales[12];
  uint16_t d;  // f16
};

// The IQ types: 4 or 8 elements at once are an index into a table of the format (codebook_grids.cpp),
// most with signs beside it. How each packs its indices, signs and scales: codebooks.cpp.
struct BlockIQ1_S {
  uint16_t d;  // f16
  uint8_t qs[kSuperBlock / 8];
  uint16_t qh[kSuperBlock / 32];
};

struct BlockIQ1_M {  // d: the top nibbles of the scales
  uint8_t qs[kSuperBlock / 8];
  uint8_t qh[kSuperBlock / 16];
  uint16_t scales[kSuperBlock / 64];
};

struct BlockIQ2_XXS {
  uint16_t d;                      // f16
  uint16_t qs[kSuperBlock / 8];    // per 32 elements: four indices of a byte, then u32 of signs and scale
};

struct BlockIQ2_XS {
  uint16_t d;                      // f16
  uint16_t qs[kSuperBlock / 8];    // index 9 bits, signs 7 bits
  uint8_t scales[kSuperBlock / 32];
};

struct BlockIQ2_S {
  uint16_t d;  // f16
  uint8_t qs[kSuperBlock / 8], signs[kSuperBlock / 8], qh[kSuperBlock / 32], scales[kSuperBlock / 32];
};

struct BlockIQ3_XXS {
  uint16_t d;  // f16
  uint8_t qs[kSuperBlock / 4], scales_and_signs[kSuperBlock / 8];
};

struct BlockIQ3_S {
  uint16_t d;  // f16
  uint8_t qs[kSuperBlock / 4], qh[kSuperBlock / 32], signs[kSuperBlock / 8], scales[kSuperBlock / 64];
};

// x[j] = d * kIq4Values[low nibble of qs[j]], x[j + 16] the same with the high nibble
struct BlockIQ4_NL {
  uint16_t d;  // f16
  uint8_t qs[kBlock / 2];
};

// As IQ4_NL, with (6-bit scale - 32) for each 32 elements
struct BlockIQ4_XS {
  uint16_t d, scales_h;  // d: f16
  uint8_t scales_l[kSuperBlock / 64];
  uint8_t qs[kSuperBlock / 2];
};

// x = d * (-1, 0 or 1): five digits of base 3 a byte, as a fraction of 256
struct BlockTQ1_0 {
  uint8_t qs[48], qh[4];
  uint16_t d;  // f16
};

// x = d * (q - 1), q of 2 bits as in Q2_K
struct BlockTQ2_0 {
  uint8_t qs[kSuperBlock / 4];
  uint16_t d;  // f16
};

// x[j] = 2^(e - 128) * kMxfp4Values[low nibble of qs[j]], x[j + 16] the same with the high nibble
struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[kBlock / 2];
};

inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Twice the values of e2m1.
inline constexpr int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockIQ1_S) == 50 && sizeof(BlockIQ1_M) == 56);
static_assert(sizeof(BlockIQ2_XXS) == 66 && sizeof(BlockIQ2_XS) == 74 && sizeof(BlockIQ2_S) == 82 && sizeof(BlockIQ3_XXS) == 98);
static_assert(sizeof(BlockIQ3_S) == 110 && sizeof(BlockIQ4_NL) == 18 && sizeof(BlockIQ4_XS) == 136);
static_assert(sizeof(BlockTQ1_0) == 54 && sizeof(BlockTQ2_0) == 66 && sizeof(BlockMXFP4) == 17);
static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

// Exact; NaN payloads and signed zeros are kept.
float f16_to_f32(uint16_t half);
float bf16_to_f32(uint16_t bits);
// Round to nearest, ties to even; overflow gives infinity, NaN stays NaN.
uint16_t f32_to_f16(float value);
uint16_t f32_to_bf16(float value);

// Unpacks the 6-bit scale and min of sub-block `s` (0 … 7) of a Q4_K or Q5_K block.
void scale_min_k4(int s, const uint8_t* scales, uint8_t* scale, uint8_t* min);

// Codes 0 … 3 of 256 elements, as Q2_K, Q3_K and TQ2_0 pack them into 64 bytes.
void unpack_2_bits(const uint8_t* qs, uint8_t* codes);
// Codes 0 … 2 of TQ1_0.
void unpack_ternary(const BlockTQ1_0& block, uint8_t* codes);
// The scale of an MXFP4 block as bf16, exact; 255 has none in the standard and is taken as a power too.
uint16_t e8m0_half_to_bf16(uint8_t e);

}  // namespace verge::engine
