// The arithmetic that every reader does on shapes from a file, checked once here.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/tensor.h"
#include "support/error.h"

namespace verge::engine {

// A view (data still null) with its size in bytes, for `dims` in the order slowest first. Fails with
// LoadFailed naming `path` and `tensor` where a dimension is zero, the product overflows, the rank is
// over limits::kTensorDims, or rows are no whole number of blocks.
Result<TensorView> checked_view(DType type, std::span<const uint64_t> dims, const std::string& tensor, const std::string& path);

}  // namespace verge::engine
