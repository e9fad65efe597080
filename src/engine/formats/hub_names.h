// Hub names of weights -> GGUF names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace verge::engine {

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight". Empty: known and of no use (rotary
// buffers). nullopt: unknown, which a reader must refuse, since leaving a weight out would give wrong answers.
// `sandwich_norms`: Gemma 2 and 3, where the norm after attention is not the one before the MLP.
std::optional<std::string> gguf_tensor_name(std::string_view hub_name, bool sandwich_norms);

}  // namespace verge::engine
