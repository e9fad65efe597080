// config.json -> GGUF metadata keys.
#pragma once

#include <string>
#include <vector>

#include "engine/formats/model_file.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

// What config.json says besides metadata.
struct HubConfig {
  bool encoder = false;              // BERT and its kin: hub_bert.h has read the configuration and names the tensors
  bool tied_embeddings = false;      // the output matrix is the embedding table
  bool norms_lack_one = false;       // Gemma stores w of (1 + w): the reader adds the 1
  bool sandwich_norms = false;       // Gemma 2 and 3
  std::vector<float> rope_factors;   // Llama 3's scaling as divisors of the rotary frequencies, {rotary_dim / 2}; may be empty
};

// Fills file->architecture and file->meta. `path` is config.json's, for messages. Emitted keys:
//   general.architecture, general.name (where known), vocab_size, block_count, context_length, embedding_length, feed_forward_length,
//   attention.head_count, attention.head_count_kv, attention.key_length, attention.value_length,
//   attention.layer_norm_rms_epsilon,
//   attention.causal                  false where rows see what comes after them too (EmbeddingGemma); absent = true
//   attention.sliding_window          positions that a windowed layer sees, itself included; absent = no windows
//   attention.sliding_window_pattern  p: layers with (layer + 1) % p == 0 see everything; absent = every layer is windowed
//   attention.scale                   of the scores, where it is not key_length^-0.5 by definition (Gemma 2, 3)
//   attn_logit_softcapping, final_logit_softcapping   (Gemma 2)
//   rope.freq_base, rope.dimension_count, rope.freq_base_swa (windowed layers, Gemma 3; never scaled)
//   rope.scaling.type "linear" | "yarn", rope.scaling.factor, rope.scaling.original_context_length,
//   rope.scaling.yarn_beta_fast, rope.scaling.yarn_beta_slow,
//   rope.scaling.attn_factor          multiplies YaRN's own factor 1 + 0.1 ln(factor), as in llama.cpp
//   tokenizer.ggml.bos_token_id, tokenizer.ggml.eos_token_id (the first)
// Errors: LoadFailed naming the key, for an architecture or a variant that the models do not implement too.
Result<HubConfig> translate_config(const json::object& config, const std::string& path, ModelFile* file);

}  // namespace verge::engine
