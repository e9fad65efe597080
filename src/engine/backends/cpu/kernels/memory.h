// What the kernels of attention without a mask take and give: plain structs, one function table per instruction set.
//
// A memory holds, for each head, keys [group of 16 keys][head_dim][16] f16 and values [16 channels][key][16] f16. Scores of
// a panel of queries are tiles [group of keys][column][16 keys], as the product kernels write them.
#pragma once

#include <stdint.h>

namespace verge::engine::cpu {

struct MemoryKernels {
  // keys: x {count <= 16, stride}, into one group; the rest of the group becomes zero.
  void (*store_keys)(const float* x, int64_t stride, int count, int head_dim, uint16_t* group);
  // One key's values: 16 channels go to `values + 16 * (channel / 16) * plane`.
  void (*store_values)(const float* x, int head_dim, int64_t plane, uint16_t* values);
  // exp(score - largest) over `keys` scores of each column, in place, those past the end become 0; sums[c] is their sum.
  void (*soften)(float* tile, int64_t keys, int width, int columns, float* sums);
  // out[c][channel] = Σ over keys of tile · value / sums[c], c < columns; row c at out + c * stride.
  void (*weigh)(const float* tile, int64_t keys, int width, int columns, const float* sums, const uint16_t* values, int64_t plane, int head_dim,
                float* out, int64_t stride);
};

namespace base { extern const MemoryKernels memory_kernels; }
namespace avx2 { extern const MemoryKernels memory_kernels; }
namespace avx512 { extern const MemoryKernels memory_kernels; }

}  // namespace verge::engine::cpu
