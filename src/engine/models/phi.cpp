// Phi 3, 3.5 and 4-mini: Llama whose files hold q, k and v in one tensor, and the MLP's gate and up projections in another.
// Long texts have rotary frequencies of their own (LongRoPE), a part of each head may go without rotation, and 4k models
// see a window. (Phi-3 technical report, 2024; microsoft/Phi-3-mini-128k-instruct's modeling_phi3.py.)
#include "engine/models/decoder/family.h"

namespace verge::engine {
namespace {

Result<DecoderConfig> read_phi3(const ModelFile& file) {
  VERGE_ASSIGN(c, read_decoder_config(file));
  // The first GGUF files of the two 4k models lack the key; llama.cpp's loader has the same rule.
  const bool stated = file.meta.contains("attention.sliding_window");
  if (!stated && file.format == "gguf" && (c.layers == 32 || c.layers == 40) && c.context_tokens == 4096) c.window = 2047;
  return c;
}

Result<> split_phi3(ModelFile& file) {
  if (!file.tensors.contains("blk.0.attn_output.weight")) return {};  // a vocabulary alone
  VERGE_ASSIGN(c, read_phi3(file));
  const int64_t q = int64_t{c.heads} * c.head_dim, kv = int64_t{c.kv_heads} * c.head_dim;
  const Part attention[] = {{"attn_q", q}, {"attn_k", kv}, {"attn_v", kv}}, mlp[] = {{"ffn_gate", c.ff}, {"ffn_up", c.ff}};
  VERGE_TRY(split_rows(file, "attn_qkv", attention));
  if (file.tensors.contains("blk.0.ffn_gate.weight")) return {};
  return split_rows(file, "ffn_up", mlp);
}

constexpr HubName kNames[] = {{"self_attn.qkv_proj", "attn_qkv"}, {"mlp.gate_up_proj", "ffn_up"}};
constexpr HubFamily kPhi3{.class_name = "Phi3", .window = HubWindow::Stated, .context = 4096, .original_context = 4096, .norm_eps = 1e-5,
                          .names = kNames};

}  // namespace

std::span<const Architecture> phi_architectures() {
  static const Architecture list[] = {decoder_family<read_phi3>("phi3", &kPhi3, split_phi3)};
  return list;
}

}  // namespace verge::engine
