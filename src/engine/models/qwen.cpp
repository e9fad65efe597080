// Qwen 2, 2.5: Llama with biases on q, k, v. Qwen 3: no biases, q and k normed per head. (Qwen technical reports, 2024 and 2025.)
#include "engine/models/decoder/family.h"

namespace verge::engine {
namespace {

Result<DecoderConfig> read_qwen2(const ModelFile& file) {
  VERGE_ASSIGN(c, read_decoder_config(file));
  c.qkv_bias = true;
  return c;
}

Result<DecoderConfig> read_qwen3(const ModelFile& file) {
  VERGE_ASSIGN(c, read_decoder_config(file));
  c.qk_norm = true;
  return c;
}

constexpr HubFamily kQwen2{.class_name = "Qwen2", .window = HubWindow::Switched, .context = 32768};
constexpr HubFamily kQwen3{.class_name = "Qwen3", .window = HubWindow::Switched, .head_dim = 128, .context = 32768};

}  // namespace

std::span<const Architecture> qwen_architectures() {
  static const Architecture list[] = {decoder_family<read_qwen2>("qwen2", &kQwen2), decoder_family<read_qwen3>("qwen3", &kQwen3)};
  return list;
}

}  // namespace verge::engine
