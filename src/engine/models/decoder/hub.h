// Decoders in the hub's layout: config.json -> GGUF's metadata keys, the hub's names of tensors -> GGUF's.
//
// A family gives a HubFamily: what its configuration class leaves unsaid in config.json, names that differ from Llama's, and
// a function for the keys that it alone has. The rest is common. Everything that would change the arithmetic and is not
// translated is refused: a model that loads must answer as its authors' code does.
//
// Keys emitted:
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
//   rope.scaling.attn_factor          YaRN: multiplies its own factor 1 + 0.1 ln(factor), as in llama.cpp; LongRoPE: the factor
//   tokenizer.ggml.bos_token_id, tokenizer.ggml.eos_token_id (the first)
//   embedding_scale, residual_scale, logit_scale      (Granite)
// Tensors made: rope_freqs.weight (Llama 3's scaling as divisors of the rotary frequencies, {rotary_dim / 2}),
// rope_factors_short.weight and rope_factors_long.weight (LongRoPE's).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/formats/model_file.h"
#include "engine/models/decoder/names.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

class HubReader;

enum class HubWindow {  // how `sliding_window` is to be read
  Never,
  Always,       // 4096 where it is not stated
  Stated,       // none where it is not stated
  Switched,     // by use_sliding_window and max_window_layers
  Alternating,  // one global layer in `pattern`
};

struct HubFamily {
  std::string_view class_name;    // config.json's "architectures", without ForCausalLM, TextModel or Model at its end
  HubWindow window = HubWindow::Never;
  int64_t head_dim = 0;           // default; 0 = hidden_size / num_attention_heads
  bool tied = false;              // default of tie_word_embeddings
  int pattern = 0;                // Alternating's default
  double rope_base = 1e4;
  int64_t context = 0;            // default of max_position_embeddings
  int64_t original_context = 0;   // default of original_max_position_embeddings; 0 = max_position_embeddings
  double norm_eps = 1e-6;
  bool gelu = false;              // tanh GELU instead of SiLU
  bool norms_lack_one = false;    // Gemma stores w of (1 + w)
  bool both_ways = false;         // use_bidirectional_attention is known
  std::span<const HubName> names = {};
  Result<> (*own)(HubReader& hub) = nullptr;  // the family's own keys; after the common ones
};

// Brings a folder of some family to GGUF's keys and names. Errors: LoadFailed naming the key or tensor, for an architecture or a
// variant that the models do not implement too.
Result<> read_decoder_hub(ModelFile* file);

// config.json as a family's own function reads it.
class HubReader {
 public:
  HubReader(const json::object& config, const HubFamily& family, ModelFile* file);

  const json::object& config() const { return config_; }
  const std::string& path() const { return path_; }  // config.json's, for messages
  const std::string& architecture() const { return file_->architecture; }

  void put(const char* key, MetaValue value) { file_->meta.insert_or_assign(key, std::move(value)); }
  // There, and not null.
  bool present(std::string_view key) const;
  // A size: positive, within int32. Absent: `fallback`, or an error where that is 0.
  Result<int64_t> size(std::string_view key, int64_t fallback) const;
  // A positive finite number of `object`. Absent: `fallback`, or an error where that is 0.
  Result<double> positive(const json::object& object, std::string_view key, double fallback) const;
  // "rope_parameters", or "rope_scaling" as older files have it; Gemma 3 nests one object for each kind of layer.
  const json::object& rope_parameters() const;
  // "default" where nothing is said.
  static std::string rope_type(const json::object& parameters);

  // All common keys, the family's own, then the tensors.
  Result<> read();

 private:
  Result<> refuse_variants();
  Result<> sizes();
  Result<> windows();
  Result<std::vector<bool>> windowed_layers() const;
  Result<> rope();
  Result<> rope_scaling(const json::object& parameters, double base, int64_t rotary);
  Result<> yarn(const json::object& parameters, double factor, double original);
  Result<> llama3(const json::object& parameters, double factor, double original, double base, int64_t rotary);
  Result<> longrope(const json::object& parameters, double original, int64_t rotary);
  Result<std::vector<float>> factors(const json::object& parameters, std::string_view key, int64_t count) const;
  void token_ids();
  Result<> tensors();

  const json::object& config_;
  const HubFamily& family_;
  ModelFile* const file_;
  const std::string path_;
  int64_t layers_ = 0, head_dim_ = 0, context_ = 0;
};

}  // namespace verge::engine
