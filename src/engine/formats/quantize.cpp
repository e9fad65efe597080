// One function per block type turns a block of floats into the storage struct. All choose the scale so
// that the largest magnitude is kept, in the manner of ggml's quantize_row_*_ref; the K-quants with a minimum
// (Q4_K, Q5_K) try a few scales for each sub-block and keep the least squared error.
#include "engine/formats/quantize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/formats/quantized.h"

namespace verge::engine {
namespace {

int round_clamped(float value, int low, int high) { return std::clamp(static_cast<int>(std::nearbyint(value)), low, high); }
float inverse(float value) { return value != 0 ? 1 / value : 0; }

// The element of largest magnitude with its sign.
float extreme(const float* x, int n) {
  float best = 0;
  for (int i = 0; i < n; ++i) if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  return best;
}

void pack_low_high(const int* q, uint8_t* qs) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((q[j] & 15) | ((q[j + 16] & 15) << 4));
}

void pack_fifth_bit(const int* q, uint8_t* qh) {
  uint32_t bits = 0;
  for (int j = 0; j < 32; ++j) bits |= static_cast<uint32_t>(q[j] >> 4) << j;
  std::memcpy(qh, &bits, 4);
}

// Symmetric types: the extreme element maps to the code of largest magnitude, -half.
float symmetric(const float* x, int half, uint16_t* d, int* q) {
  *d = f32_to_f16(extreme(x, kBlock) / static_cast<float>(-half));
  const float scale = f16_to_f32(*d);
  for (int j = 0; j < kBlock; ++j) q[j] = round_clamped(x[j] * inverse(scale), -half, half - 1) + half;
  return scale;
}

void affine(const float* x, int levels, uint16_t* d, uint16_t* m, int* q) {
  const auto [low, high] = std::minmax_element(x, x + kBlock);
  *d = f32_to_f16((*high - *low) / static_cast<float>(levels));
  *m = f32_to_f16(*low);
  const float scale = inverse(f16_to_f32(*d)), min = f16_to_f32(*m);
  for (int j = 0; j < kBlock; ++j) q[j] = round_clamped((x[j] - min) * scale, 0, levels);
}

void compress(const float* x, BlockQ4_0& b) {
  int q[kBlock];
  symmetric(x, 8, &b.d, q);
  pack_low_high(q, b.qs);
}

void compress(const float* x, BlockQ4_1& b) {
  int q[kBlock];
  affine(x, 15, &b.d, &b.m, q);
  pack_low_high(q, b.qs);
}

void compress(const float* x, BlockQ5_0& b) {
  int q[kBlock];
  symmetric(x, 16, &b.d, q);
  pack_low_high(q, b.qs);
  pack_fifth_bit(q, b.qh);
}

void compress(const float* x, BlockQ5_1& b) {
  int q[kBlock];
  affine(x, 31, &b.d, &b.m, q);
  pack_low_high(q, b.qs);
  pack_fifth_bit(q, b.qh);
}

void compress(const float* x, BlockQ8_0& b) {
  b.d = f32_to_f16(std::fabs(extreme(x, kBlock)) / 127);
  const float scale = inverse(f16_to_f32(b.d));
  for (int j = 0; j < kBlock; ++j) b.qs[j] = static_cast<int8_t>(round_clamped(x[j] * scale, -127, 127));
}

// Scale and minimum (>= 0, subtracted) of a sub-block of 32 for codes 0 … levels.
struct ScaleMin {
  float scale = 0, min = 0;
};

ScaleMin fit_sub_block(const float* x, int levels) {
  const float low = std::min(0.f, *std::min_element(x, x + 32)), high = *std::max_element(x, x + 32);
  if (high <= low) return {0, -low};
  ScaleMin best;
  float best_error = std::numeric_limits<float>::infinity();
  for (int step = -4; step <= 8; ++step) {  // from coarser to finer than the plain span
    const float scale = (high - low) / (static_cast<float>(levels) + 0.1f * static_cast<float>(step));
    float error = 0;
    for (int l = 0; l < 32; ++l) {
      const float back = scale * static_cast<float>(round_clamped((x[l] - low) / scale, 0, levels)) + low;
      error += (back - x[l]) * (back - x[l]);
    }
    if (error < best_error) best_error = error, best = {scale, -low};
  }
  return best;
}

// Fills d, dmin and the packed 6-bit scales; q gets 256 codes 0 … levels.
template <class Block>
void fit_super_block(const float* x, int levels, Block& b, int* q) {
  ScaleMin fits[8];
  float scale_max = 0, min_max = 0;
  for (int s = 0; s < 8; ++s) {
    fits[s] = fit_sub_block(x + 32 * s, levels);
    scale_max = std::max(scale_max, fits[s].scale);
    min_max = std::max(min_max, fits[s].min);
  }
  b.d = f32_to_f16(scale_max / 63);
  b.dmin = f32_to_f16(min_max / 63);
  const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
  std::memset(b.scales, 0, sizeof(b.scales));
  for (int s = 0; s < 8; ++s) {
    const int scale = round_clamped(fits[s].scale * inverse(d), 0, 63), min = round_clamped(fits[s].min * inverse(dmin), 0, 63);
    if (s < 4) {
      b.scales[s] |= static_cast<uint8_t>(scale);
      b.scales[s + 4] |= static_cast<uint8_t>(min);
    } else {
      b.scales[s + 4] = static_cast<uint8_t>((scale & 15) | ((min & 15) << 4));
      b.scales[s - 4] |= static_cast<uint8_t>((scale >> 4) << 6);
      b.scales[s] |= static_cast<uint8_t>((min >> 4) << 6);
    }
    const float to_code = inverse(d * static_cast<float>(scale)), offset = dmin * static_cast<float>(min);
    for (int l = 0; l < 32; ++l) q[32 * s + l] = round_clamped((x[32 * s + l] + offset) * to_code, 0, levels);
  }
}

void pack_nibble_pairs(const int* q, uint8_t* qs) {
  for (int pair = 0; pair < 4; ++pair)
    for (int l = 0; l < 32; ++l) qs[32 * pair + l] = static_cast<uint8_t>((q[64 * pair + l] & 15) | ((q[64 * pair + 32 + l] & 15) << 4));
}

void compress(const float* x, BlockQ4_K& b) {
  int q[kSuperBlock];
  fit_super_block(x, 15, b, q);
  pack_nibble_pairs(q, b.qs);
}

void compress(const float* x, BlockQ5_K& b) {
  int q[kSuperBlock];
  fit_super_block(x, 31, b, q);
  pack_nibble_pairs(q, b.qs);
  std::memset(b.qh, 0, sizeof(b.qh));
  for (int s = 0; s < 8; ++s)
    for (int l = 0; l < 32; ++l) b.qh[l] |= static_cast<uint8_t>((q[32 * s + l] >> 4) << s);
}

void compress(const float* x, BlockQ6_K& b) {
  float scales[16], largest = 0;
  for (int s = 0; s < 16; ++s) {
    scales[s] = extreme(x + 16 * s, 16) / -32;
    if (std::fabs(scales[s]) > std::fabs(largest)) largest = scales[s];
  }
  b.d = f32_to_f16(largest / -128);
  const float d = f16_to_f32(b.d);
  std::memset(b.ql, 0, sizeof(b.ql));
  std::memset(b.qh, 0, sizeof(b.qh));
  for (int s = 0; s < 16; ++s) {
    b.scales[s] = static_cast<int8_t>(round_clamped(scales[s] * inverse(d), -128, 127));
    const float to_code = inverse(d * static_cast<float>(b.scales[s]));
    for (int l = 0; l < 16; ++l) {
      const int q = round_clamped(x[16 * s + l] * to_code, -32, 31) + 32;
      const int index = 16 * s + l, half = index / 128, quarter = index % 128 / 32, lane = index % 32;
      b.ql[64 * half + 32 * (quarter % 2) + lane] |= static_cast<uint8_t>((q & 15) << (quarter < 2 ? 0 : 4));
      b.qh[32 * half + lane] |= static_cast<uint8_t>((q >> 4) << (2 * quarter));
    }
  }
}

template <class Block>
void compress_blocks(std::span<const float> values, int block, std::byte* out) {
  for (size_t i = 0; i < values.size(); i += static_cast<size_t>(block)) {
    Block b;
    compress(values.data() + i, b);
    std::memcpy(out, &b, sizeof(b));
    out += sizeof(b);
  }
}

template <class T, class Convert>
void convert(std::span<const float> values, std::byte* out, Convert from_float) {
  for (float value : values) {
    const T stored = from_float(value);
    std::memcpy(out, &stored, sizeof(T));
    out += sizeof(T);
  }
}

template <class T>
T to_integer(float value) {
  const double low = static_cast<double>(std::numeric_limits<T>::min());
  const double high = static_cast<double>(std::numeric_limits<T>::max());
  const double rounded = std::nearbyint(static_cast<double>(value));
  if (!(rounded > low)) return std::numeric_limits<T>::min();
  return rounded >= high ? std::numeric_limits<T>::max() : static_cast<T>(rounded);
}

}  // namespace

std::vector<std::byte> quantize(DType type, std::span<const float> values) {
  const DTypeInfo& layout = info(type);
  assert(values.size() % static_cast<size_t>(layout.block) == 0);
  std::vector<std::byte> bytes(values.size() / static_cast<size_t>(layout.block) * static_cast<size_t>(layout.block_bytes));
  std::byte* out = bytes.data();
  switch (type) {
    case DType::F32: std::memcpy(out, values.data(), bytes.size()); break;
    case DType::F16: convert<uint16_t>(values, out, f32_to_f16); break;
    case DType::BF16: convert<uint16_t>(values, out, f32_to_bf16); break;
    case DType::I8: convert<int8_t>(values, out, to_integer<int8_t>); break;
    case DType::I16: convert<int16_t>(values, out, to_integer<int16_t>); break;
    case DType::I32: convert<int32_t>(values, out, to_integer<int32_t>); break;
    case DType::I64: convert<int64_t>(values, out, to_integer<int64_t>); break;
    case DType::Q4_0: compress_blocks<BlockQ4_0>(values, layout.block, out); break;
    case DType::Q4_1: compress_blocks<BlockQ4_1>(values, layout.block, out); break;
    case DType::Q5_0: compress_blocks<BlockQ5_0>(values, layout.block, out); break;
    case DType::Q5_1: compress_blocks<BlockQ5_1>(values, layout.block, out); break;
    case DType::Q8_0: compress_blocks<BlockQ8_0>(values, layout.block, out); break;
    case DType::Q4_K: compress_blocks<BlockQ4_K>(values, layout.block, out); break;
    case DType::Q5_K: compress_blocks<BlockQ5_K>(values, layout.block, out); break;
    case DType::Q6_K: compress_blocks<BlockQ6_K>(values, layout.block, out); break;
    default: assert(false);
  }
  return bytes;
}

}  // namespace verge::engine
