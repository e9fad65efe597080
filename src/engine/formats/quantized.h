// GGUF's storage blocks as they lie in the file: little-endian, packed, no alignment beyond that
// of their f16 members (an odd address inside a tensor cannot occur: every block has an even size).
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

}  // namespace verge::engine
