// Blocks of the storage types that quantize() does not make: given codes under a scale that is a finite number.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "engine/formats/quantized.h"
#include "engine/tensor.h"

namespace verge::engine {

inline bool has_quantizer(DType type) { return type <= DType::Q6_K; }

// `code` gives the bytes; the scale of every block is `scale`, or near it where the type holds powers only.
inline std::vector<std::byte> blocks_of(DType type, int64_t elements, float scale, const std::function<uint8_t()>& code) {
  const auto size = static_cast<size_t>(info(type).block_bytes);
  std::vector<std::byte> bytes(static_cast<size_t>(elements / info(type).block) * size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(code());
  const uint16_t half = f32_to_f16(scale);
  for (std::byte* block = bytes.data(); block != bytes.data() + bytes.size(); block += size) {
    const auto put = [&](size_t offset) { std::memcpy(block + offset, &half, 2); };
    switch (type) {
      case DType::Q2_K: put(80), put(82); break;
      case DType::Q3_K: put(108); break;
      case DType::TQ1_0: put(52); break;
      case DType::TQ2_0: put(64); break;
      case DType::MXFP4: block[0] = std::byte{121}; break;
      case DType::IQ1_M:
        for (size_t word = 0; word < 4; ++word) {
          const auto nibble = static_cast<std::byte>((half >> (4 * word)) & 15);
          block[48 + 2 * word + 1] = (block[48 + 2 * word + 1] & std::byte{15}) | nibble << 4;
        }
        break;
      default: put(0);
    }
  }
  return bytes;
}

inline std::vector<std::byte> random_blocks(DType type, int64_t elements, uint32_t seed) {
  std::mt19937 random(seed);
  return blocks_of(type, elements, 0.01f, [&] { return static_cast<uint8_t>(random()); });
}

}  // namespace verge::engine
