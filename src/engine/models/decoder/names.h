// Hub names of weights -> GGUF names.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace verge::engine {

// The hub's name of a part of the model ("self_attn.q_proj") and GGUF's ("attn_q").
using HubName = std::pair<std::string_view, std::string_view>;

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight". Empty: known and of no use (rotary
// buffers). nullopt: unknown, which a reader must refuse, since leaving a weight out would give wrong answers.
// `own`: what a family's layers call otherwise than Llama's, asked first.
std::optional<std::string> gguf_tensor_name(std::string_view hub_name, std::span<const HubName> own = {});

}  // namespace verge::engine
