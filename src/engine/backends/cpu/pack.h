// Weights in the layout that the kernels read (layout.h).
#pragma once

#include <memory>

#include "engine/backend.h"
#include "engine/backends/cpu/arena.h"
#include "engine/backends/cpu/layout.h"

namespace verge::engine::cpu {

class Threads;

struct PackedMatrix final : Matrix {
  Layout layout = Layout::F32;
  int64_t groups = 0;        // of kGroupRows rows
  size_t group_stride = 0;   // bytes
  std::shared_ptr<uint8_t> data;

  const uint8_t* group(int64_t g) const { return data.get() + static_cast<size_t>(g) * group_stride; }
};

// Fails with LoadFailed where the type is not a weight type, `in` is not a multiple of the type's block, the
// tensor's bytes don't cover its shape, or memory is short.
Result<std::unique_ptr<Matrix>> pack(const TensorView& weight, Precision precision, Arena& arena, Threads& threads);
size_t packed_bytes(DType type, int64_t out, int64_t in, Precision precision);

}  // namespace verge::engine::cpu
