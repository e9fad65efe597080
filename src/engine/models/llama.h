// The Llama family's decoder: what its siblings (qwen.cpp, gemma.cpp) share with llama.cpp. A sibling reads
// its own configuration and hands over to the two functions at the end.
#pragma once

#include <memory>

#include "engine/models/parts/rope.h"
#include "engine/models/parts/weights.h"
#include "engine/models/table.h"

namespace verge::engine {

struct LlamaConfig {
  int layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t dim = 0, ff = 0, vocabulary = 0;
  int context_tokens = 0;
  float norm_eps = 0;

  RopeConfig rope;
  double local_rope_base = 0;          // Gemma 3: base of the windowed layers, unscaled; 0 = as the others
  int window = 0;                      // 0 = none
  int window_pattern = 0;              // p: layers with (layer + 1) % p == 0 see everything; 0 = all are windowed
  float attention_scale = 0;           // of q·k
  float attention_softcap = 0, logit_softcap = 0;  // Gemma 2

  float embedding_scale = 1;           // Gemma: sqrt(dim)
  Activation activation = Activation::Silu;
  bool qkv_bias = false;               // Qwen 2: must be there; elsewhere they may
  bool qk_norm = false;                // Qwen 3, Gemma 3
  bool post_norms = false;             // Gemma 2, 3: norms after attention and MLP, before the residual
  bool causal = true;                  // false (EmbeddingGemma): a row sees what comes after it too, and `window` reaches half to each side

  bool windowed(int layer) const { return window > 0 && (window_pattern <= 0 || (layer + 1) % window_pattern != 0); }
};

// Reads and checks the keys that all of the family have. Errors: LoadFailed naming file and key.
Result<LlamaConfig> read_llama_config(const ModelFile& file);

Result<std::unique_ptr<LanguageModel>> load_llama(std::shared_ptr<ModelFile> file, const LlamaConfig& config, Backend& backend, const LoadOptions& options);
// The same layers as an encoder: rows of all tokens after the last norm, no output matrix (encoders/decoder.cpp).
Result<std::unique_ptr<Encoder>> load_llama_encoder(std::shared_ptr<ModelFile> file, const LlamaConfig& config, Backend& backend, const LoadOptions& options);
Result<ModelNeed> llama_need(const ModelFile& file, const LlamaConfig& config, const Backend& backend, Precision precision);

// A table entry for a sibling whose configuration `read` gives.
template <Result<LlamaConfig> (*read)(const ModelFile&)>
Architecture llama_variant(const char* name) {
  return {name,
          [](std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options) -> Result<std::unique_ptr<LanguageModel>> {
            VERGE_ASSIGN(config, read(*file));
            return load_llama(std::move(file), config, backend, options);
          },
          [](std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options) -> Result<std::unique_ptr<Encoder>> {
            VERGE_ASSIGN(config, read(*file));
            return load_llama_encoder(std::move(file), config, backend, options);
          },
          [](const ModelFile& file, const Backend& backend, Precision precision) -> Result<ModelNeed> {
            VERGE_ASSIGN(config, read(file));
            return llama_need(file, config, backend, precision);
          }};
}

}  // namespace verge::engine
