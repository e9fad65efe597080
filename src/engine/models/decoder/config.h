// What one decoder-only transformer is, in numbers: sizes, and the switches by which the families differ.
// Each family (models/llama.cpp, qwen.cpp, gemma.cpp, phi.cpp, granite.cpp) reads its own from a ModelFile.
#pragma once

#include <memory>
#include <string>

#include "engine/formats/model_file.h"
#include "engine/models/parts/rope.h"
#include "engine/backend.h"

namespace verge::engine {

struct DecoderConfig {
  int layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t dim = 0, ff = 0, vocabulary = 0;
  int context_tokens = 0;
  float norm_eps = 0;  // of the norms over the residual stream

  RopeConfig rope;
  bool rope_interleaved = false;       // rows of q and k are stored for adjacent pairs (GGUF files of Llama and Granite)
  double local_rope_base = 0;          // Gemma 3: base of the windowed layers, unscaled; 0 = as the others
  int window = 0;                      // 0 = none
  int window_pattern = 0;              // p: layers with (layer + 1) % p == 0 see everything; 0 = all are windowed
  float attention_scale = 0;           // of q·k
  float attention_softcap = 0, logit_softcap = 0;  // Gemma 2

  float embedding_scale = 1;           // Gemma: sqrt(dim); Granite: a multiplier
  float logit_scale = 1;               // Granite: logits are multiplied by it
  Activation activation = Activation::Silu;
  bool qkv_bias = false;               // Qwen 2: must be there; elsewhere they may
  bool qk_norm = false;                // Qwen 3, Gemma 3
  bool post_norms = false;             // Gemma 2, 3: norms after attention and MLP, before the residual
  bool causal = true;                  // false (EmbeddingGemma): a row sees what comes after it too, and `window` reaches half to each side

  float qk_norm_eps = 0;               // of the norms of q and k per head

  bool windowed(int layer) const { return window > 0 && (window_pattern <= 0 || (layer + 1) % window_pattern != 0); }
};

// Reads and checks the keys that all families have (hub.h lists them). Errors: LoadFailed naming file and key.
Result<DecoderConfig> read_decoder_config(const ModelFile& file);

// A number of the configuration, `fallback` where the key is absent; LoadFailed where it is negative or not finite.
Result<double> read_number(const ModelFile& file, const char* key, double fallback);

}  // namespace verge::engine
