// The scalar reference for every storage type. Written for exactness, not for speed: each formula is
// evaluated in f32 in the order that ggml's own dequantize_row_* uses, so the results have its bits.
#include "engine/formats/quantized.h"

#include <fmt/format.h>

#include <bit>
#include <cassert>
#include <cstring>

#include "engine/formats/codebooks.h"
#include "engine/tensor.h"

namespace verge::engine {

static_assert(std::endian::native == std::endian::little, "GGUF and safetensors are read in place");

const DTypeInfo& info(DType type) {
  // In the order of DType.
  static constexpr DTypeInfo kTable[] = {
      {"F32", 1, 4},    {"F16", 1, 2},    {"BF16", 1, 2},   {"I8", 1, 1},     {"I16", 1, 2},      {"I32", 1, 4},      {"I64", 1, 8},
      {"Q4_0", 32, 18}, {"Q4_1", 32, 20}, {"Q5_0", 32, 22}, {"Q5_1", 32, 24}, {"Q8_0", 32, 34},   {"Q4_K", 256, 144}, {"Q5_K", 256, 176},
      {"Q6_K", 256, 210},    {"Q2_K", 256, 84},    {"Q3_K", 256, 110},  {"IQ1_S", 256, 50},   {"IQ1_M", 256, 56},  {"IQ2_XXS", 256, 66},
      {"IQ2_XS", 256, 74},   {"IQ2_S", 256, 82},   {"IQ3_XXS", 256, 98}, {"IQ3_S", 256, 110}, {"IQ4_NL", 32, 18},  {"IQ4_XS", 256, 136},
      {"TQ1_0", 256, 54},    {"TQ2_0", 256, 66},   {"MXFP4", 32, 17},
  };
  static_assert(std::size(kTable) == kDTypes && static_cast<int>(DType::MXFP4) + 1 == kDTypes);
  return kTable[static_cast<size_t>(type)];
}

std::string to_string(const TensorView& tensor) {
  std::string text = fmt::format("{} {{", info(tensor.type).name);
  for (int i = 0; i < tensor.rank; ++i) text += fmt::format("{}{}", i ? ", " : "", tensor.shape[static_cast<size_t>(i)]);
  return text + "}";
}

float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f, mantissa = half & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact in f32
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);  // NaN: keep it one
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ff));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to 65536 or more
  if (magnitude < 0x38800000u) {                                               // below 2^-14: a multiple of 2^-24
    // Adding 0.5 puts the unit of the f16 subnormals at the last bit of the sum: the addition rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

void scale_min_k4(int s, const uint8_t* scales, uint8_t* scale, uint8_t* min) {
  if (s < 4) {
    *scale = scales[s] & 63;
    *min = scales[s + 4] & 63;
  } else {
    *scale = static_cast<uint8_t>((scales[s + 4] & 15) | ((scales[s - 4] >> 6) << 4));
    *min = static_cast<uint8_t>((scales[s + 4] >> 4) | ((scales[s] >> 6) << 4));
  }
}

void unpack_2_bits(const uint8_t* qs, uint8_t* codes) {
  for (int j = 0; j < kSuperBlock; ++j) codes[j] = static_cast<uint8_t>((qs[j / 128 * 32 + j % 32] >> (j % 128 / 32 * 2)) & 3);
}

void unpack_ternary(const BlockTQ1_0& block, uint8_t* codes) {
  static constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  const auto digit = [](uint8_t byte, int place) { return static_cast<uint8_t>((static_cast<uint8_t>(byte * kPowers[place]) * 3) >> 8); };
  for (int j = 0; j < 160; ++j) codes[j] = digit(block.qs[j % 32], j / 32);
  for (int j = 0; j < 80; ++j) codes[160 + j] = digit(block.qs[32 + j % 16], j / 16);
  for (int j = 0; j < 16; ++j) codes[240 + j] = digit(block.qh[j % 4], j / 4);
}

uint16_t e8m0_half_to_bf16(uint8_t e) { return static_cast<uint16_t>(e < 2 ? 0x20 << e : (e - 1) << 7); }

namespace {

void expand(const BlockQ4_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>((b.qs[j] & 15) - 8) * d;
    y[j + 16] = static_cast<float>((b.qs[j] >> 4) - 8) * d;
  }
}

void expand(const BlockQ4_1& b, float* y) {
  const float d = f16_to_f32(b.d), m = f16_to_f32(b.m);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(b.qs[j] & 15) * d + m;
    y[j + 16] = static_cast<float>(b.qs[j] >> 4) * d + m;
  }
}

void expand(const BlockQ5_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  uint32_t qh;
  std::memcpy(&qh, b.qh, 4);
  for (int j = 0; j < 16; ++j) {
    const int low = static_cast<int>((b.qs[j] & 15) | (((qh >> j) & 1) << 4));
    const int high = static_cast<int>((b.qs[j] >> 4) | (((qh >> (j + 16)) & 1) << 4));
    y[j] = static_cast<float>(low - 16) * d;
    y[j + 16] = static_cast<float>(high - 16) * d;
  }
}

void expand(const BlockQ5_1& b, float* y) {
  const float d = f16_to_f32(b.d), m = f16_to_f32(b.m);
  uint32_t qh;
  std::memcpy(&qh, b.qh, 4);
  for (int j = 0; j < 16; ++j) {
    const int low = static_cast<int>((b.qs[j] & 15) | (((qh >> j) & 1) << 4));
    const int high = static_cast<int>((b.qs[j] >> 4) | (((qh >> (j + 16)) & 1) << 4));
    y[j] = static_cast<float>(low) * d + m;
    y[j + 16] = static_cast<float>(high) * d + m;
  }
}

void expand(const BlockQ8_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < kBlock; ++j) y[j] = static_cast<float>(b.qs[j]) * d;
}

void expand(const BlockQ4_K& b, float* y) {
  const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
  for (int s = 0; s < 8; ++s) {
    uint8_t scale, min;
    scale_min_k4(s, b.scales, &scale, &min);
    const float d1 = d * static_cast<float>(scale), m1 = dmin * static_cast<float>(min);
    const uint8_t* q = b.qs + 32 * (s / 2);
    for (int l = 0; l < 32; ++l) y[32 * s + l] = d1 * static_cast<float>(s % 2 ? q[l] >> 4 : q[l] & 15) - m1;
  }
}

void expand(const BlockQ5_K& b, float* y) {
  const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
  for (int s = 0; s < 8; ++s) {
    uint8_t scale, min;
    scale_min_k4(s, b.scales, &scale, &min);
    const float d1 = d * static_cast<float>(scale), m1 = dmin * static_cast<float>(min);
    const uint8_t* q = b.qs + 32 * (s / 2);
    for (int l = 0; l < 32; ++l) {
      const int value = (s % 2 ? q[l] >> 4 : q[l] & 15) + (((b.qh[l] >> s) & 1) << 4);
      y[32 * s + l] = d1 * static_cast<float>(value) - m1;
    }
  }
}

void expand(const BlockQ6_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int half = 0; half < 2; ++half) {
    const uint8_t *ql = b.ql + 64 * half, *qh = b.qh + 32 * half;
    const int8_t* scales = b.scales + 8 * half;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int l = 0; l < 32; ++l) {
        const int packed = ql[l + 32 * (quarter % 2)];
        const int low = quarter < 2 ? packed & 15 : packed >> 4;
        const int q = (low | (((qh[l] >> (2 * quarter)) & 3) << 4)) - 32;
        y[128 * half + 32 * quarter + l] = d * static_cast<float>(scales[2 * quarter + l / 16]) * static_cast<float>(q);
      }
    }
  }
}

void expand(const BlockQ2_K& b, float* y) {
  const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
  uint8_t codes[kSuperBlock];
  unpack_2_bits(b.qs, codes);
  for (int j = 0; j < kSuperBlock; ++j) {
    const int scale = b.scales[j / 16];
    y[j] = d * static_cast<float>(scale & 15) * static_cast<float>(codes[j]) - dmin * static_cast<float>(scale >> 4);
  }
}

void expand_ternary(const uint8_t* codes, uint16_t d, float* y) {
  for (int j = 0; j < kSuperBlock; ++j) y[j] = f16_to_f32(d) * static_cast<float>(codes[j] - 1);
}

void expand(const BlockTQ1_0& b, float* y) {
  uint8_t codes[kSuperBlock];
  unpack_ternary(b, codes);
  expand_ternary(codes, b.d, y);
}

void expand(const BlockTQ2_0& b, float* y) {
  uint8_t codes[kSuperBlock];
  unpack_2_bits(b.qs, codes);
  expand_ternary(codes, b.d, y);
}

void expand_nibbles(const uint8_t* qs, float d, const int8_t* values, float* y) {
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(values[qs[j] & 15]);
    y[j + 16] = d * static_cast<float>(values[qs[j] >> 4]);
  }
}

void expand(const BlockIQ4_NL& b, float* y) { expand_nibbles(b.qs, f16_to_f32(b.d), kIq4Values, y); }
void expand(const BlockMXFP4& b, float* y) { expand_nibbles(b.qs, bf16_to_f32(e8m0_half_to_bf16(b.e)), kMxfp4Values, y); }

template <CodebookBlock Block>
void expand(const Block& b, float* y) {
  SpelledBlock spelled;
  spell(b, &spelled);
  const float d = f16_to_f32(spelled.d) * codebook_of<Block>().factor;
  for (int j = 0; j < kSuperBlock; ++j) y[j] = d * static_cast<float>(spelled.scales[j / 16]) * static_cast<float>(spelled.values[j]);
}

template <class Block>
void expand_blocks(const std::byte* source, int64_t first, int64_t count, int block, float* out) {
  float values[kSuperBlock];
  for (int64_t done = 0; done < count; done += block) {
    Block b;  // copied: a file's tensors need not be aligned for us
    std::memcpy(&b, source + static_cast<size_t>((first + done) / block) * sizeof(Block), sizeof(Block));
    if (count - done >= block) {
      expand(b, out + done);
    } else {
      expand(b, values);
      std::memcpy(out + done, values, static_cast<size_t>(count - done) * sizeof(float));
    }
  }
}

template <class T, class Convert>
void convert(const std::byte* source, int64_t first, int64_t count, float* out, Convert to_float) {
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, source + static_cast<size_t>(first + i) * sizeof(T), sizeof(T));
    out[i] = to_float(value);
  }
}

}  // namespace

void dequantize(const TensorView& tensor, int64_t first, int64_t count, float* out) {
  const DTypeInfo& type = info(tensor.type);
  assert(first >= 0 && count >= 0 && first % type.block == 0 && first + count <= tensor.elements());
  const std::byte* data = tensor.data;
  const auto number = [](auto value) { return static_cast<float>(value); };
  switch (tensor.type) {
    case DType::F32: std::memcpy(out, data + first * 4, static_cast<size_t>(count) * 4); break;
    case DType::F16: convert<uint16_t>(data, first, count, out, f16_to_f32); break;
    case DType::BF16: convert<uint16_t>(data, first, count, out, bf16_to_f32); break;
    case DType::I8: convert<int8_t>(data, first, count, out, number); break;
    case DType::I16: convert<int16_t>(data, first, count, out, number); break;
    case DType::I32: convert<int32_t>(data, first, count, out, number); break;
    case DType::I64: convert<int64_t>(data, first, count, out, number); break;
    case DType::Q4_0: expand_blocks<BlockQ4_0>(data, first, count, type.block, out); break;
    case DType::Q4_1: expand_blocks<BlockQ4_1>(data, first, count, type.block, out); break;
    case DType::Q5_0: expand_blocks<BlockQ5_0>(data, first, count, type.block, out); break;
    case DType::Q5_1: expand_blocks<BlockQ5_1>(data, first, count, type.block, out); break;
    case DType::Q8_0: expand_blocks<BlockQ8_0>(data, first, count, type.block, out); break;
    case DType::Q4_K: expand_blocks<BlockQ4_K>(data, first, count, type.block, out); break;
    case DType::Q5_K: expand_blocks<BlockQ5_K>(data, first, count, type.block, out); break;
    case DType::Q6_K: expand_blocks<BlockQ6_K>(data, first, count, type.block, out); break;
    case DType::Q2_K: expand_blocks<BlockQ2_K>(data, first, count, type.block, out); break;
    case DType::Q3_K: expand_blocks<BlockQ3_K>(data, first, count, type.block, out); break;
    case DType::IQ1_S: expand_blocks<BlockIQ1_S>(data, first, count, type.block, out); break;
    case DType::IQ1_M: expand_blocks<BlockIQ1_M>(data, first, count, type.block, out); break;
    case DType::IQ2_XXS: expand_blocks<BlockIQ2_XXS>(data, first, count, type.block, out); break;
    case DType::IQ2_XS: expand_blocks<BlockIQ2_XS>(data, first, count, type.block, out); break;
    case DType::IQ2_S: expand_blocks<BlockIQ2_S>(data, first, count, type.block, out); break;
    case DType::IQ3_XXS: expand_blocks<BlockIQ3_XXS>(data, first, count, type.block, out); break;
    case DType::IQ3_S: expand_blocks<BlockIQ3_S>(data, first, count, type.block, out); break;
    case DType::IQ4_NL: expand_blocks<BlockIQ4_NL>(data, first, count, type.block, out); break;
    case DType::IQ4_XS: expand_blocks<BlockIQ4_XS>(data, first, count, type.block, out); break;
    case DType::TQ1_0: expand_blocks<BlockTQ1_0>(data, first, count, type.block, out); break;
    case DType::TQ2_0: expand_blocks<BlockTQ2_0>(data, first, count, type.block, out); break;
    case DType::MXFP4: expand_blocks<BlockMXFP4>(data, first, count, type.block, out); break;
  }
}

}  // namespace verge::engine
