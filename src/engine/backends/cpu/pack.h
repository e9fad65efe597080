// Weights in the layout that the kernels read.
#pragma once

#include <memory>
#include <vector>

#include "engine/backend.h"

namespace verge::engine::cpu {

class Threads;

struct PackedMatrix final : Matrix {
  std::vector<float> values;
};

// Fails with LoadFailed where the type is not a weight type, `in` is not a multiple of the type's block, or the
// tensor's bytes don't cover its shape.
Result<std::unique_ptr<Matrix>> pack(const TensorView& weight, Precision precision, Threads& threads);
size_t packed_bytes(DType type, int64_t out, int64_t in, Precision precision);

}  // namespace verge::engine::cpu
