// Attention of an encoder's layer: every row sees all rows of its own sequence.
#pragma once

#include "engine/backend.h"

namespace verge::engine::cpu {

class Threads;
enum class Isa;

// See FullAttentionArgs. Asserts the shapes.
void full_attention(const FullAttentionArgs& args, Threads& threads, Isa isa);

}  // namespace verge::engine::cpu
