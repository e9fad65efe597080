// Qwen 2, 2.5: Llama with biases on q, k, v. Qwen 3: no biases, q and k normed per head. (Qwen technical reports, 2024 and 2025.)
#include "engine/models/llama.h"

namespace verge::engine {
namespace {

Result<LlamaConfig> read_qwen2(const ModelFile& file) {
  VERGE_ASSIGN(c, read_llama_config(file));
  c.qkv_bias = true;
  return c;
}

Result<LlamaConfig> read_qwen3(const ModelFile& file) {
  VERGE_ASSIGN(c, read_llama_config(file));
  c.qk_norm = true;
  return c;
}

}  // namespace

std::span<const Architecture> qwen_architectures() {
  static const Architecture list[] = {llama_variant<read_qwen2>("qwen2"), llama_variant<read_qwen3>("qwen3")};
  return list;
}

}  // namespace verge::engine
