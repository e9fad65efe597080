// Attention of one layer: q/k norm, rotation, storing into the paged cache, softmax(q·Kᵀ)·V.
#pragma once

#include "engine/backend.h"

namespace verge::engine::cpu {

class Threads;
enum class Isa;

// See AttentionArgs. Asserts the shapes; the cache must come from make_kv_cache below its own model.
void attention(const AttentionArgs& args, Threads& threads, Isa isa);

}  // namespace verge::engine::cpu
