#include "engine/models/decoder/weights.h"

#include <tuple>

namespace verge::engine {
namespace {

Result<> read_layer(WeightReader& reader, const DecoderConfig& c, int index, DecoderLayer* layer) {
  const int64_t dim = c.dim, q_dim = int64_t{c.heads} * c.head_dim, kv_dim = int64_t{c.kv_heads} * c.head_dim;
  const Need bias = c.qkv_bias ? Need::Required : Need::Optional;
  const std::tuple<const char*, std::unique_ptr<Matrix>*, int64_t, int64_t> matrices[] = {
      {"attn_q.weight", &layer->q, q_dim, dim},       {"attn_k.weight", &layer->k, kv_dim, dim},
      {"attn_v.weight", &layer->v, kv_dim, dim},      {"attn_output.weight", &layer->o, dim, q_dim},
      {"ffn_gate.weight", &layer->gate, c.ff, dim},   {"ffn_up.weight", &layer->up, c.ff, dim},
      {"ffn_down.weight", &layer->down, dim, c.ff},
  };
  struct Vector { const char* name; std::vector<float>* to; int64_t count; Need need; bool used; };
  const Vector vectors[] = {
      {"attn_norm.weight", &layer->attn_norm, dim, Need::Required, true},
      {"attn_q.bias", &layer->q_bias, q_dim, bias, true},
      {"attn_k.bias", &layer->k_bias, kv_dim, bias, true},
      {"attn_v.bias", &layer->v_bias, kv_dim, bias, true},
      {"attn_output.bias", &layer->o_bias, dim, Need::Optional, true},
      {"attn_q_norm.weight", &layer->q_norm, c.head_dim, Need::Required, c.qk_norm},
      {"attn_k_norm.weight", &layer->k_norm, c.head_dim, Need::Required, c.qk_norm},
      {"post_attention_norm.weight", &layer->post_attn_norm, dim, Need::Required, c.post_norms},
      {"ffn_norm.weight", &layer->ffn_norm, dim, Need::Required, true},
      {"post_ffw_norm.weight", &layer->post_ffn_norm, dim, Need::Required, c.post_norms},
  };
  const std::string prefix = fmt::format("blk.{}.", index);
  for (const auto& [name, to, out, in] : matrices) VERGE_TRY(reader.matrix(prefix + name, out, in, Need::Required, to));
  for (const Vector& v : vectors) {
    if (v.used) VERGE_TRY(reader.vector(prefix + v.name, v.count, v.need, v.to));
  }
  return {};
}

// Divisors of the rotary frequencies, {rotary_dim / 2}, all positive.
Result<> read_divisors(WeightReader& reader, const ModelFile& file, const DecoderConfig& c, const char* name, Need need, std::vector<float>* to) {
  VERGE_TRY(reader.vector(name, c.rope.rotary_dim / 2, need, to));
  for (float divisor : *to) {
    if (!(divisor > 0)) return fail(Code::LoadFailed, "{}: tensor '{}' holds {}, must be positive", file.path, name, divisor);
  }
  return {};
}

}  // namespace

Result<> read_decoder_weights(WeightReader& reader, const ModelFile& file, const DecoderConfig& c, DecoderWeights* w) {
  VERGE_TRY(reader.table("token_embd.weight", c.vocabulary, c.dim, &w->embedding));
  VERGE_TRY(reader.vector("output_norm.weight", c.dim, Need::Required, &w->output_norm));
  const bool two = c.rope.scaling == RopeConfig::Scaling::Long;
  const char* first = two ? "rope_factors_short.weight" : "rope_freqs.weight";
  VERGE_TRY(read_divisors(reader, file, c, first, two ? Need::Required : Need::Optional, &w->rope_divisors));
  if (two) VERGE_TRY(read_divisors(reader, file, c, "rope_factors_long.weight", Need::Required, &w->long_rope_divisors));
  w->layers.resize(static_cast<size_t>(c.layers));
  for (int i = 0; i < c.layers; ++i) VERGE_TRY(read_layer(reader, c, i, &w->layers[static_cast<size_t>(i)]));
  return {};
}

Result<> read_decoder_output(WeightReader& reader, const ModelFile& file, const DecoderConfig& c, DecoderWeights* w) {
  const bool tied = file.tensors.find("output.weight") == file.tensors.end();
  VERGE_TRY(reader.matrix(tied ? "token_embd.weight" : "output.weight", c.vocabulary, c.dim, Need::Required, &w->output));
  return reader.finish();
}

}  // namespace verge::engine
