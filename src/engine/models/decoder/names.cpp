#include "engine/models/decoder/names.h"

#include <algorithm>

namespace verge::engine {
namespace {

constexpr HubName kOutside[] = {{"embed_tokens", "token_embd"}, {"norm", "output_norm"}, {"lm_head", "output"}};

constexpr HubName kLayer[] = {
    {"input_layernorm", "attn_norm"},     {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},       {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},  {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},        {"post_attention_layernorm", "ffn_norm"},
};

std::string_view find(std::span<const HubName> table, std::string_view name) {
  const auto it = std::find_if(table.begin(), table.end(), [&](const HubName& pair) { return pair.first == name; });
  return it == table.end() ? std::string_view() : it->second;
}

}  // namespace

std::optional<std::string> gguf_tensor_name(std::string_view hub_name, std::span<const HubName> own) {
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
  std::string_view inside = find(own, part);
  if (inside.empty()) inside = find(kLayer, part);
  if (inside.empty()) return std::nullopt;
  return "blk." + std::string(name.substr(0, digits)) + "." + std::string(inside) + std::string(suffix);
}

}  // namespace verge::engine
