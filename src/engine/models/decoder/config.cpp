// The keys that all decoder families have. Every number is checked before anything is made of it.
#include "engine/models/decoder/config.h"

#include <cmath>

#include "support/limits.h"

namespace verge::engine {

Result<double> read_number(const ModelFile& file, const char* key, double fallback) {
  const double value = file.number(key).value_or(fallback);
  if (!std::isfinite(value) || value < 0) return fail(Code::LoadFailed, "{}: '{}' must not be negative", file.path, key);
  return value;
}

namespace {

// A whole number within [low, high], or `fallback` (where that is >= 0) if the key is absent.
Result<int64_t> read_integer(const ModelFile& file, const char* key, int64_t low, int64_t high, int64_t fallback = -1) {
  const auto value = file.integer(key);
  if (!value && file.meta.find(key) == file.meta.end() && fallback >= 0) return fallback;
  if (!value) return fail(Code::LoadFailed, "{}: '{}' is missing or not one whole number", file.path, key);
  if (*value < low || *value > high) return fail(Code::LoadFailed, "{}: '{}' is {}, must be {} to {}", file.path, key, *value, low, high);
  return *value;
}

// LongRoPE (Ding et al. 2024): two sets of divisors, which the weights' reader takes from the file, and a
// factor of cos and sin.
Result<> read_long_rope(const ModelFile& file, int context_tokens, RopeConfig* rope) {
  rope->scaling = RopeConfig::Scaling::Long;
  VERGE_ASSIGN(original, read_integer(file, "rope.scaling.original_context_length", 1, limits::kContextTokens, context_tokens));
  VERGE_ASSIGN(attention, read_number(file, "rope.scaling.attn_factor", 1));
  if (attention == 0) return fail(Code::LoadFailed, "{}: 'rope.scaling.attn_factor' is 0", file.path);
  rope->original_context = static_cast<double>(original);
  rope->attention_factor = attention;
  return {};
}

Result<RopeConfig> read_rope(const ModelFile& file, int head_dim, int context_tokens) {
  RopeConfig rope;
  VERGE_ASSIGN(rotary, read_integer(file, "rope.dimension_count", 2, head_dim, head_dim));
  if (rotary % 2 != 0) return fail(Code::LoadFailed, "{}: 'rope.dimension_count' {} is odd", file.path, rotary);
  rope.rotary_dim = static_cast<int>(rotary);
  VERGE_ASSIGN(base, read_number(file, "rope.freq_base", 10000));
  if (base <= 1) return fail(Code::LoadFailed, "{}: 'rope.freq_base' {} must be above 1", file.path, base);
  rope.base = base;

  const std::string type = file.text("rope.scaling.type").value_or("none");
  if (file.tensors.contains("rope_factors_long.weight")) {  // GGUF files of Phi 3 state no type
    VERGE_TRY(read_long_rope(file, context_tokens, &rope));
    return rope;
  }
  VERGE_ASSIGN(old_factor, read_number(file, "rope.scale_linear", 1));  // the key before rope.scaling.*
  VERGE_ASSIGN(factor, read_number(file, "rope.scaling.factor", old_factor));
  if (factor == 0) return fail(Code::LoadFailed, "{}: 'rope.scaling.factor' is 0", file.path);
  rope.factor = factor;
  if (type == "linear" || (type == "none" && old_factor != 1)) {
    rope.scaling = RopeConfig::Scaling::Linear;
  } else if (type == "yarn") {
    rope.scaling = RopeConfig::Scaling::Yarn;
    VERGE_ASSIGN(original, read_integer(file, "rope.scaling.original_context_length", 1, limits::kContextTokens, context_tokens));
    rope.original_context = static_cast<double>(original);
    VERGE_ASSIGN(fast, read_number(file, "rope.scaling.yarn_beta_fast", 32));
    VERGE_ASSIGN(slow, read_number(file, "rope.scaling.yarn_beta_slow", 1));
    if (fast == 0 || slow == 0) return fail(Code::LoadFailed, "{}: 'rope.scaling.yarn_beta_fast' and '…_slow' must be positive", file.path);
    VERGE_ASSIGN(attention, read_number(file, "rope.scaling.attn_factor", 1));
    rope.beta_fast = fast;
    rope.beta_slow = slow;
    rope.attention_factor = attention;
  } else if (type != "none") {
    return fail(Code::LoadFailed, "{}: 'rope.scaling.type' '{}' is not supported", file.path, type.substr(0, 32));
  }
  return rope;
}

}  // namespace

Result<DecoderConfig> read_decoder_config(const ModelFile& file) {
  DecoderConfig c;
  if (file.integer("expert_count").value_or(0) > 0) {
    return fail(Code::LoadFailed, "{}: mixtures of experts ('expert_count') are not supported", file.path);
  }
  VERGE_ASSIGN(layers, read_integer(file, "block_count", 1, limits::kLayers));
  VERGE_ASSIGN(dim, read_integer(file, "embedding_length", 1, limits::kModelWidth));
  VERGE_ASSIGN(ff, read_integer(file, "feed_forward_length", 1, limits::kModelWidth));
  VERGE_ASSIGN(heads, read_integer(file, "attention.head_count", 1, limits::kHeads));
  VERGE_ASSIGN(kv_heads, read_integer(file, "attention.head_count_kv", 1, heads, heads));
  if (heads % kv_heads != 0) return fail(Code::LoadFailed, "{}: {} heads are not a multiple of {} KV heads", file.path, heads, kv_heads);
  if (!file.integer("attention.key_length") && dim % heads != 0) {
    return fail(Code::LoadFailed, "{}: width {} is not a multiple of {} heads", file.path, dim, heads);
  }
  VERGE_ASSIGN(head_dim, read_integer(file, "attention.key_length", 2, limits::kHeadDim, dim / heads));
  VERGE_ASSIGN(value_dim, read_integer(file, "attention.value_length", 2, limits::kHeadDim, head_dim));
  if (value_dim != head_dim || head_dim % 2 != 0 || head_dim < 2) {
    return fail(Code::LoadFailed, "{}: heads of {} (keys) and {} (values) channels are not supported: must be equal and even", file.path, head_dim, value_dim);
  }
  VERGE_ASSIGN(context, read_integer(file, "context_length", 1, limits::kContextTokens));
  VERGE_ASSIGN(eps, read_number(file, "attention.layer_norm_rms_epsilon", 1e-5));
  VERGE_ASSIGN(window, read_integer(file, "attention.sliding_window", 0, INT32_MAX, 0));
  VERGE_ASSIGN(pattern, read_integer(file, "attention.sliding_window_pattern", 0, INT32_MAX, 0));
  VERGE_ASSIGN(scale, read_number(file, "attention.scale", 0));
  VERGE_ASSIGN(softcap, read_number(file, "attn_logit_softcapping", 0));
  VERGE_ASSIGN(logit_softcap, read_number(file, "final_logit_softcapping", 0));
  VERGE_ASSIGN(local_base, read_number(file, "rope.freq_base_swa", 0));
  VERGE_ASSIGN(rope, read_rope(file, static_cast<int>(head_dim), static_cast<int>(context)));
  const auto embedding = file.tensors.find("token_embd.weight");
  if (embedding == file.tensors.end() || embedding->second.rank != 2) return fail(Code::LoadFailed, "{}: tensor 'token_embd.weight' is missing or no matrix", file.path);

  c.layers = static_cast<int>(layers);
  c.heads = static_cast<int>(heads);
  c.kv_heads = static_cast<int>(kv_heads);
  c.head_dim = static_cast<int>(head_dim);
  c.dim = dim;
  c.ff = ff;
  c.vocabulary = embedding->second.shape[0];
  c.context_tokens = static_cast<int>(context);
  c.norm_eps = c.qk_norm_eps = static_cast<float>(eps);
  c.rope = rope;
  c.local_rope_base = local_base;
  c.window = static_cast<int>(window);
  c.window_pattern = static_cast<int>(pattern);
  c.attention_scale = scale > 0 ? static_cast<float>(scale) : 1 / std::sqrt(static_cast<float>(head_dim));
  c.attention_softcap = static_cast<float>(softcap);
  c.logit_softcap = static_cast<float>(logit_softcap);
  c.causal = file.boolean("attention.causal").value_or(true);
  return c;
}

}  // namespace verge::engine
