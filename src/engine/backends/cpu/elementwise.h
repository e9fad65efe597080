// Activations and copies. An element's bits don't depend on its place in a call, so callers may
// cut rows as they like between threads.
#pragma once

#include <cstdint>
#include <span>

#include "engine/backend.h"

namespace verge::engine::cpu {

class Threads;
enum class Isa;

// y[i] = activation(gate[i]) * up[i]; y may be gate or up. Runs on the calling thread.
void gate(const float* gate, const float* up, int64_t count, Activation activation, float* y, Isa isa);

// x = activation(x).
void activate(float* x, int64_t count, Activation activation, Threads& threads, Isa isa);

// x = cap * tanh(x / cap).
void softcap(float* x, int64_t count, float cap, Threads& threads, Isa isa);

// y[i] = x[rows[i]], {rows, dim}.
void gather_rows(const float* x, std::span<const int32_t> rows, int64_t dim, float* y);

}  // namespace verge::engine::cpu
