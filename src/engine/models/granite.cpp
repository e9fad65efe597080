// Granite 3.x: Llama with four multipliers: of the embeddings, of what each layer adds to the residual stream, of the scores, and a
// divisor of the logits. (IBM Granite 3.0 language models, 2024; transformers' modeling_granite.py.)
//
// The residual stream here holds x / r, r being the residual multiplier, so that layers add without a factor: a norm of
// x / r with eps / r² is the norm of x with eps. Nothing but norms reads the stream.
#include "engine/models/decoder/family.h"

namespace verge::engine {
namespace {

// A multiplier above 0; 1 where the file does not state it.
Result<float> multiplier(const ModelFile& file, const char* key) {
  VERGE_ASSIGN(value, read_number(file, key, 1));
  if (value == 0) return fail(Code::LoadFailed, "{}: '{}' is 0", file.path, key);
  return static_cast<float>(value);
}

Result<DecoderConfig> read_granite(const ModelFile& file) {
  VERGE_ASSIGN(c, read_decoder_config(file));
  VERGE_ASSIGN(embedding, multiplier(file, "embedding_scale"));
  VERGE_ASSIGN(residual, multiplier(file, "residual_scale"));
  VERGE_ASSIGN(logits, multiplier(file, "logit_scale"));
  c.embedding_scale = embedding / residual;
  c.norm_eps /= residual * residual;
  c.logit_scale = 1 / logits;
  c.rope_interleaved = file.format == "gguf";  // converted as Llama's are
  return c;
}

Result<> read_granite_hub(HubReader& hub) {
  const std::pair<const char*, const char*> kKeys[] = {{"embedding_multiplier", "embedding_scale"},
                                                       {"residual_multiplier", "residual_scale"},
                                                       {"attention_multiplier", "attention.scale"},
                                                       {"logits_scaling", "logit_scale"}};
  for (const auto& [key, to] : kKeys) {
    VERGE_ASSIGN(value, hub.positive(hub.config(), key, 1));
    hub.put(to, value);
  }
  return {};
}

constexpr HubFamily kGranite{.class_name = "Granite", .context = 2048, .own = read_granite_hub};

}  // namespace

std::span<const Architecture> granite_architectures() {
  static const Architecture list[] = {decoder_family<read_granite>("granite", &kGranite)};
  return list;
}

}  // namespace verge::engine
