// RMS norm: y = x / sqrt(mean(x²) + eps) * weight (Zhang and Sennrich 2019), and layer norm (Ba et al. 2016).
#pragma once

#include <cstdint>

#include "engine/backend.h"

namespace verge::engine::cpu {

class Threads;
enum class Isa;

// x += rms_norm(y), {n, dim}; a null weight adds y as it is.
void add_norm(float* x, const float* y, int n, int64_t dim, RmsNorm norm, Threads& threads, Isa isa);

// y = (x - mean) / sqrt(variance + eps) * weight + bias, {n, dim}; y may be x.
void layer_norm(const float* x, int n, int64_t dim, LayerNorm norm, float* y, Threads& threads, Isa isa);

}  // namespace verge::engine::cpu
