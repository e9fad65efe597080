// Gemma: Llama with scaled embeddings and GELU. Gemma 2 adds norms after attention and MLP, soft caps, and windows in
// every other layer; Gemma 3 drops the caps, norms q and k, and lets one layer in six see everything. (Gemma
// technical reports, 2024 and 2025.)
#include <cmath>

#include "engine/models/decoder/family.h"

namespace verge::engine {
namespace {

Result<DecoderConfig> read_gemma(const ModelFile& file) {
  VERGE_ASSIGN(c, read_decoder_config(file));
  c.embedding_scale = std::sqrt(static_cast<float>(c.dim));
  c.activation = Activation::GeluTanh;
  return c;
}

// GGUF files have no key for the scale: it is head_dim^-0.5, but for the two 27B models, told by their
// layers, where it is (dim / heads)^-0.5.
void gemma_scale(const ModelFile& file, int layers_of_27b, DecoderConfig& c) {
  if (file.number("attention.scale") || c.layers != layers_of_27b) return;
  c.attention_scale = 1 / std::sqrt(static_cast<float>(c.dim) / static_cast<float>(c.heads));
}

Result<DecoderConfig> read_gemma2(const ModelFile& file) {
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

Result<DecoderConfig> read_gemma3(const ModelFile& file) {
  VERGE_ASSIGN(c, read_gemma(file));
  c.post_norms = true;
  c.qk_norm = true;
  if (c.window_pattern == 0) c.window_pattern = 6;
  if (c.local_rope_base == 0) c.local_rope_base = 10000;  // GGUF files lack the key
  gemma_scale(file, 62, c);
  return c;
}

// EmbeddingGemma: Gemma 3 that reads in both directions.
Result<DecoderConfig> read_gemma_embedding(const ModelFile& file) {
  VERGE_ASSIGN(c, read_gemma3(file));
  c.causal = false;
  return c;
}

// --- config.json

// The layers of Gemma 2 and 3 have a norm after attention that is not the one before the MLP.
constexpr HubName kNormNames[] = {{"post_attention_layernorm", "post_attention_norm"},
                                  {"pre_feedforward_layernorm", "ffn_norm"},
                                  {"post_feedforward_layernorm", "post_ffw_norm"}};

Result<> read_scores(HubReader& hub, bool capped) {
  VERGE_ASSIGN(scalar, hub.positive(hub.config(), "query_pre_attn_scalar", 256));
  hub.put("attention.scale", 1 / std::sqrt(scalar));
  // Gemma 2's class has caps by default; Gemma 3's has none.
  if (capped || hub.present("attn_logit_softcapping")) {
    VERGE_ASSIGN(cap, hub.positive(hub.config(), "attn_logit_softcapping", 50));
    hub.put("attn_logit_softcapping", cap);
  }
  if (capped || hub.present("final_logit_softcapping")) {
    VERGE_ASSIGN(cap, hub.positive(hub.config(), "final_logit_softcapping", 30));
    hub.put("final_logit_softcapping", cap);
  }
  return {};
}

Result<> read_gemma2_hub(HubReader& hub) { return read_scores(hub, true); }

// The windowed layers' rotary base, which is never scaled.
Result<> read_gemma3_hub(HubReader& hub) {
  VERGE_TRY(read_scores(hub, false));
  static const json::object kEmpty;
  const json::object* nested = get_object(hub.rope_parameters(), "sliding_attention");
  const bool split = get_object(hub.rope_parameters(), "full_attention") != nullptr;
  const json::object& sliding = split && nested ? *nested : kEmpty;
  if (HubReader::rope_type(sliding) != "default") return fail(Code::LoadFailed, "{}: scaled RoPE in windowed layers is not supported", hub.path());
  VERGE_ASSIGN(outside, hub.positive(hub.config(), "rope_local_base_freq", 1e4));
  VERGE_ASSIGN(base, hub.positive(sliding, "rope_theta", outside));
  hub.put("rope.freq_base_swa", base);
  return {};
}

constexpr HubFamily kGemma{.class_name = "Gemma", .head_dim = 256, .tied = true, .context = 8192, .gelu = true, .norms_lack_one = true};
constexpr HubFamily kGemma2{.class_name = "Gemma2", .window = HubWindow::Alternating, .head_dim = 256, .tied = true, .pattern = 2,
                            .context = 8192, .gelu = true, .norms_lack_one = true, .names = kNormNames, .own = read_gemma2_hub};
constexpr HubFamily kGemma3{.class_name = "Gemma3", .window = HubWindow::Alternating, .head_dim = 256, .tied = true, .pattern = 6,
                            .rope_base = 1e6, .context = 131072, .gelu = true, .norms_lack_one = true, .both_ways = true,
                            .names = kNormNames, .own = read_gemma3_hub};

}  // namespace

std::span<const Architecture> gemma_architectures() {
  static const Architecture list[] = {decoder_family<read_gemma>("gemma", &kGemma), decoder_family<read_gemma2>("gemma2", &kGemma2),
                                      decoder_family<read_gemma3>("gemma3", &kGemma3), decoder_family<read_gemma_embedding>("gemma-embedding")};
  return list;
}

}  // namespace verge::engine
