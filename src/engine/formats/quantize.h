// f32 -> any storage type, for tests and for making small files. Reference quality: sound rounding
// and a short search for the scales of the K-quants, none of the importance weighting of a
// production quantiser. dequantize() of the result is the value that engines must compute with.
// Types up to Q6_K in the order of DType; the smaller ones need a search that only a production quantiser has.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/tensor.h"

namespace verge::engine {

// `values.size()` must be a multiple of info(type).block. Integer types round to nearest and clamp.
std::vector<std::byte> quantize(DType type, std::span<const float> values);

}  // namespace verge::engine
