// Gemma: Llama with scaled embeddings and GELU. Gemma 2 adds norms after attention and MLP, soft caps, and windows in
// every other layer; Gemma 3 drops the caps, norms q and k, and lets one layer in six see everything. (Gemma
// technical reports, 2024 and 2025.)
#include <cmath>

#include "engine/models/llama.h"

namespace verge::engine {
namespace {

Result<LlamaConfig> read_gemma(const ModelFile& file) {
  VERGE_ASSIGN(c, read_llama_config(file));
  c.embedding_scale = std::sqrt(static_cast<float>(c.dim));
  c.activation = Activation::GeluTanh;
  return c;
}

// GGUF files have no key for the scale: it is head_dim^-0.5, but for the two 27B models, told by their
// layers, where it is (dim / heads)^-0.5.
void gemma_scale(const ModelFile& file, int layers_of_27b, LlamaConfig& c) {
  if (file.number("attention.scale") || c.layers != layers_of_27b) return;
  c.attention_scale = 1 / std::sqrt(static_cast<float>(c.dim) / static_cast<float>(c.heads));
}

Result<LlamaConfig> read_gemma2(const ModelFile& file) {
  VERGE_ASSIGN(c, read_gemma(file));
  c.post_norms = true;
  if (c.window_pattern == 0) c.window_pattern = 2;
  if (c.window == 0 && file.format == "gguf") c.window = 4096;  // the first files lack the key
  if (file.format == "gguf") {
    c.attention_softcap = static_cast<float>(file.number("attn_logit_softcapping").value_or(50));
    c.logit_softcap = static_cast<float>(file.number("final_logit_softcapping").value_or(30));
  }
  gemma_scale(file, 46, c);
  return c;
}

Result<LlamaConfig> read_gemma3(const ModelFile& file) {
  VERGE_ASSIGN(c, read_gemma(file));
  c.post_norms = true;
  c.qk_norm = true;
  if (c.window_pattern == 0) c.window_pattern = 6;
  if (c.local_rope_base == 0) c.local_rope_base = 10000;  // GGUF files lack the key
  gemma_scale(file, 62, c);
  return c;
}

// EmbeddingGemma: Gemma 3 that reads in both directions.
Result<LlamaConfig> read_gemma_embedding(const ModelFile& file) {
  VERGE_ASSIGN(c, read_gemma3(file));
  c.causal = false;
  return c;
}

}  // namespace

std::span<const Architecture> gemma_architectures() {
  static const Architecture list[] = {llama_variant<read_gemma>("gemma"), llama_variant<read_gemma2>("gemma2"),
                                      llama_variant<read_gemma3>("gemma3"), llama_variant<read_gemma_embedding>("gemma-embedding")};
  return list;
}

}  // namespace verge::engine
