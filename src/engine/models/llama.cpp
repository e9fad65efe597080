// Llama (Touvron et al. 2023; Llama 3, 2024) and models derived from it: TinyLlama, SmolLM, Mistral.
#include "engine/models/decoder/family.h"

namespace verge::engine {
namespace {

Result<DecoderConfig> read_llama(const ModelFile& file) {
  VERGE_ASSIGN(c, read_decoder_config(file));
  c.rope_interleaved = file.format == "gguf";  // the converter permutes the rows of q and k
  return c;
}

constexpr HubFamily kLlama{.class_name = "Llama", .context = 2048};
constexpr HubFamily kMistral{.class_name = "Mistral", .window = HubWindow::Always, .context = 131072};

}  // namespace

std::span<const Architecture> llama_architectures() {
  static const Architecture list[] = {decoder_family<read_llama>("llama", &kLlama), decoder_family<read_llama>("mistral", &kMistral)};
  return list;
}

}  // namespace verge::engine
