#include "engine/formats/hub_names.h"

#include <algorithm>
#include <utility>

namespace verge::engine {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr Pair kOutside[] = {{"embed_tokens", "token_embd"}, {"norm", "output_norm"}, {"lm_head", "output"}};

constexpr Pair kLayer[] = {
    {"input_layernorm", "attn_norm"},     {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},       {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},  {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},        {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

template <size_t N>
std::string_view find(const Pair (&table)[N], std::string_view name) {
  const auto* it = std::find_if(table, table + N, [&](const Pair& pair) { return pair.first == name; });
  return it == table + N ? std::string_view() : it->second;
}

}  // namespace

std::optional<std::string> gguf_tensor_name(std::string_view hub_name, bool sandwich_norms) {
  if (hub_name.ends_with("rotary_emb.inv_freq")) return "";  // recomputed from the configuration
  const size_t dot = hub_name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view suffix = hub_name.substr(dot);  // ".weight", ".bias"
  std::string_view name = hub_name.substr(0, dot);
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  constexpr std::string_view kModel = "model.", kPrefix = "layers.";  // checkpoints of the bare layers lack the first
  if (name.starts_with(kModel)) name.remove_prefix(kModel.size());
  if (const std::string_view outside = find(kOutside, name); !outside.empty()) return std::string(outside) + std::string(suffix);

  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits > 4 || digits == name.size() || name[digits] != '.') return std::nullopt;
  const std::string_view part = name.substr(digits + 1);
  std::string_view inside = find(kLayer, part);
  if (part == "post_attention_layernorm") inside = sandwich_norms ? "post_attention_norm" : "ffn_norm";
  if (inside.empty()) return std::nullopt;
  return "blk." + std::string(name.substr(0, digits)) + "." + std::string(inside) + std::string(suffix);
}

}  // namespace verge::engine
