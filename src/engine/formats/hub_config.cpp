// A family table gives what the architectures' configuration classes leave unsaid in config.json; the rest is one
// function for each group of keys. Everything that would change the arithmetic and is not translated is refused:
// a model that loads must answer as its authors' code does.
//
// Sources: transformers' configuration_*.py (defaults), modeling_rope_utils.py (RoPE variants); llama.cpp's
// convert_hf_to_gguf.py (keys, rope_freqs).
#include "engine/formats/hub_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "support/limits.h"

namespace verge::engine {
namespace {

enum class Window { Never, Always, Switched, Alternating };  // how `sliding_window` is to be read

struct Family {
  std::string_view class_name;    // config.json's "architectures", without ForCausalLM, TextModel or Model at its end
  std::string_view architecture;  // GGUF's
  Window window;
  int64_t head_dim;               // default; 0 = hidden_size / num_attention_heads
  bool tied;                      // default of tie_word_embeddings
  bool gemma;                     // GELU, norms stored without the 1
  int pattern;                    // Alternating: one global layer in this many
  double rope_base;
  int64_t context;                // default of max_position_embeddings
};

constexpr Family kFamilies[] = {
    {"Llama", "llama", Window::Never, 0, false, false, 0, 1e4, 2048},
    {"Mistral", "llama", Window::Always, 0, false, false, 0, 1e4, 131072},
    {"Qwen2", "qwen2", Window::Switched, 0, false, false, 0, 1e4, 32768},
    {"Qwen3", "qwen3", Window::Switched, 128, false, false, 0, 1e4, 32768},
    {"Gemma", "gemma", Window::Never, 256, true, true, 0, 1e4, 8192},
    {"Gemma2", "gemma2", Window::Alternating, 256, true, true, 2, 1e4, 8192},
    {"Gemma3", "gemma3", Window::Alternating, 256, true, true, 6, 1e6, 131072},
};

class Translator {
 public:
  Translator(const json::object& config, const std::string& path, ModelFile* file) : config_(config), path_(path), file_(file) {}

  Result<HubConfig> translate() {
    VERGE_TRY(choose_family());
    VERGE_TRY(refuse_variants());
    VERGE_TRY(sizes());
    VERGE_TRY(windows());
    VERGE_TRY(scores());
    VERGE_TRY(rope());
    token_ids();
    hub_.tied_embeddings = get_bool(config_, "tie_word_embeddings").value_or(family_->tied);
    hub_.norms_lack_one = family_->gemma;
    hub_.sandwich_norms = family_->architecture == "gemma2" || family_->architecture == "gemma3";
    return std::move(hub_);
  }

 private:
  void put(const char* key, MetaValue value) { file_->meta.insert_or_assign(key, std::move(value)); }

  bool present(std::string_view key) const {
    const json::value* value = config_.if_contains(key);
    return value && !value->is_null();
  }

  // A size: positive, within int32. Absent: `fallback`, or an error where that is 0.
  Result<int64_t> size(std::string_view key, int64_t fallback) const {
    if (!present(key)) {
      if (fallback > 0) return fallback;
      return fail(Code::LoadFailed, "{}: '{}' is missing", path_, key);
    }
    const auto value = get_int(config_, key);
    if (!value || *value < 1 || *value > INT32_MAX) return fail(Code::LoadFailed, "{}: '{}' must be a whole number from 1 to {}", path_, key, INT32_MAX);
    return *value;
  }

  // A positive finite number of `object`.
  Result<double> positive(const json::object& object, std::string_view key, double fallback) const {
    const json::value* value = object.if_contains(key);
    if (!value || value->is_null()) {
      if (fallback > 0) return fallback;
      return fail(Code::LoadFailed, "{}: '{}' is missing", path_, key);
    }
    const auto number = get_number(object, key);
    if (!number || !(*number > 0) || !std::isfinite(*number)) return fail(Code::LoadFailed, "{}: '{}' must be a positive number", path_, key);
    return *number;
  }

  Result<> choose_family() {
    const json::array* names = get_array(config_, "architectures");
    if (!names || names->empty() || !names->front().is_string()) return fail(Code::LoadFailed, "{}: no 'architectures'", path_);
    const std::string_view name = names->front().get_string();
    std::string_view stem = name;
    for (std::string_view end : {"ForCausalLM", "TextModel", "Model"}) {  // Qwen3Model, Gemma3TextModel: the layers without an output matrix
      if (!stem.ends_with(end)) continue;
      stem.remove_suffix(end.size());
      break;
    }
    const auto* it = std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) { return f.class_name == stem && stem != name; });
    if (it == std::end(kFamilies)) return fail(Code::LoadFailed, "{}: architecture '{}' is not supported", path_, name.substr(0, 100));
    family_ = it;
    file_->architecture = it->architecture;
    put("general.architecture", file_->architecture);
    if (auto model = get_string(config_, "_name_or_path"); model && !model->empty()) put("general.name", *model);
    return {};
  }

  Result<> refuse_variants() {
    if (present("quantization_config")) {
      const json::object* quantisation = get_object(config_, "quantization_config");
      const std::string method = quantisation ? get_string(*quantisation, "quant_method").value_or("") : "";
      return fail(Code::LoadFailed, "{}: weights quantised by '{}' are not supported; use the original or a GGUF file", path_, method.substr(0, 32));
    }
    std::string activation = get_string(config_, "hidden_activation").value_or("");
    if (activation.empty()) activation = get_string(config_, "hidden_act").value_or("");
    // Gemma's first files say "gelu" and were trained with the tanh form; transformers uses that too.
    const bool known = family_->gemma ? activation == "gelu_pytorch_tanh" || activation == "gelu" || activation == "gelu_new" : activation == "silu";
    if (!activation.empty() && !known) return fail(Code::LoadFailed, "{}: activation '{}' is not supported for {}", path_, activation.substr(0, 32), family_->class_name);
    // `sliding_window` then is the whole window, half of it to each side, as GGUF's key has it too.
    if (get_bool(config_, "use_bidirectional_attention").value_or(false)) {
      if (family_->architecture != "gemma3") return fail(Code::LoadFailed, "{}: 'use_bidirectional_attention' is not supported for {}", path_, family_->class_name);
      put("attention.causal", false);
    }
    return {};
  }

  Result<> sizes() {
    VERGE_ASSIGN(hidden, size("hidden_size", 0));
    VERGE_ASSIGN(layers, size("num_hidden_layers", 0));
    if (layers > static_cast<int64_t>(limits::kTensorCount)) return fail(Code::LoadFailed, "{}: {} layers, limit {}", path_, layers, limits::kTensorCount);
    VERGE_ASSIGN(heads, size("num_attention_heads", 0));
    VERGE_ASSIGN(kv_heads, size("num_key_value_heads", heads));
    VERGE_ASSIGN(feed_forward, size("intermediate_size", 0));
    VERGE_ASSIGN(context, size("max_position_embeddings", family_->context));
    VERGE_ASSIGN(vocabulary, size("vocab_size", 0));
    if (!present("head_dim") && family_->head_dim == 0 && hidden % heads != 0) {
      return fail(Code::LoadFailed, "{}: 'hidden_size' {} is not a multiple of 'num_attention_heads' {}", path_, hidden, heads);
    }
    VERGE_ASSIGN(head_dim, size("head_dim", family_->head_dim ? family_->head_dim : hidden / heads));
    VERGE_ASSIGN(epsilon, positive(config_, "rms_norm_eps", 1e-6));
    layers_ = layers, head_dim_ = head_dim, context_ = context;
    put("vocab_size", vocabulary);
    put("block_count", layers);
    put("context_length", context);
    put("embedding_length", hidden);
    put("feed_forward_length", feed_forward);
    put("attention.head_count", heads);
    put("attention.head_count_kv", kv_heads);
    put("attention.key_length", head_dim);
    put("attention.value_length", head_dim);
    put("attention.layer_norm_rms_epsilon", epsilon);
    return {};
  }

  // layer_types, where it is given, decides; else the family's rule. Only regular patterns can be said in
  // GGUF's keys: all layers windowed, none, or one global layer in every p.
  Result<> windows() {
    const bool switched_off = family_->window == Window::Switched && !get_bool(config_, "use_sliding_window").value_or(false);
    const json::value* stated = config_.if_contains("sliding_window");
    if (family_->window == Window::Never || switched_off || (stated && stated->is_null())) return {};
    VERGE_ASSIGN(window, size("sliding_window", 4096));  // every family's default where the key is missing
    VERGE_ASSIGN(windowed, windowed_layers());
    const auto count = std::count(windowed.begin(), windowed.end(), true);
    if (count == 0) return {};
    put("attention.sliding_window", window);
    if (count == layers_ && family_->window != Window::Alternating) return {};
    // With no global layer the pattern is any number past the last layer.
    const auto first_global = std::find(windowed.begin(), windowed.end(), false) - windowed.begin();
    const int64_t pattern = first_global + 1;
    for (int64_t layer = 0; layer < layers_; ++layer) {
      if (windowed[static_cast<size_t>(layer)] == ((layer + 1) % pattern == 0)) {
        return fail(Code::LoadFailed, "{}: an irregular order of windowed layers is not supported", path_);
      }
    }
    put("attention.sliding_window_pattern", pattern);
    return {};
  }

  Result<std::vector<bool>> windowed_layers() const {
    std::vector<bool> windowed(static_cast<size_t>(layers_), true);
    if (const json::array* types = get_array(config_, "layer_types")) {
      if (types->size() != windowed.size()) return fail(Code::LoadFailed, "{}: 'layer_types' must name {} layers", path_, layers_);
      for (size_t i = 0; i < windowed.size(); ++i) {
        const json::value& type = (*types)[i];
        if (type != "sliding_attention" && type != "full_attention") return fail(Code::LoadFailed, "{}: unknown entry {} of 'layer_types'", path_, i);
        windowed[i] = type == "sliding_attention";
      }
      return windowed;
    }
    if (family_->window == Window::Switched) {  // layers from max_window_layers on
      const int64_t first = get_int(config_, "max_window_layers").value_or(28);
      for (size_t i = 0; i < windowed.size(); ++i) windowed[i] = static_cast<int64_t>(i) >= first;
    } else if (family_->window == Window::Alternating) {
      VERGE_ASSIGN(pattern, size("sliding_window_pattern", family_->pattern));
      for (size_t i = 0; i < windowed.size(); ++i) windowed[i] = (static_cast<int64_t>(i) + 1) % pattern != 0;
    }
    return windowed;
  }

  Result<> scores() {
    if (family_->architecture != "gemma2" && family_->architecture != "gemma3") return {};
    VERGE_ASSIGN(scalar, positive(config_, "query_pre_attn_scalar", 256));
    put("attention.scale", 1 / std::sqrt(scalar));
    // Gemma 2's class has caps by default; Gemma 3's has none.
    const bool capped = family_->architecture == "gemma2";
    if (capped || present("attn_logit_softcapping")) {
      VERGE_ASSIGN(cap, positive(config_, "attn_logit_softcapping", 50));
      put("attn_logit_softcapping", cap);
    }
    if (capped || present("final_logit_softcapping")) {
      VERGE_ASSIGN(cap, positive(config_, "final_logit_softcapping", 30));
      put("final_logit_softcapping", cap);
    }
    return {};
  }

  // "rope_parameters" is the newer name of "rope_scaling" and holds rope_theta too; Gemma 3's has one object for each
  // kind of layer.
  Result<> rope() {
    static const json::object kEmpty;
    const json::object* parameters = get_object(config_, "rope_parameters");
    if (!parameters) parameters = get_object(config_, "rope_scaling");
    if (!parameters) parameters = &kEmpty;
    if (const json::object* full = get_object(*parameters, "full_attention")) {
      const json::object* sliding = get_object(*parameters, "sliding_attention");
      VERGE_TRY(local_rope(sliding ? *sliding : kEmpty));
      parameters = full;
    } else {
      VERGE_TRY(local_rope(kEmpty));
    }
    VERGE_ASSIGN(config_base, positive(config_, "rope_theta", family_->rope_base));
    VERGE_ASSIGN(base, positive(*parameters, "rope_theta", config_base));
    VERGE_ASSIGN(config_partial, positive(config_, "partial_rotary_factor", 1));
    VERGE_ASSIGN(partial, positive(*parameters, "partial_rotary_factor", config_partial));
    const auto rotary = static_cast<int64_t>(static_cast<double>(head_dim_) * partial);
    if (rotary < 2 || rotary % 2 != 0 || rotary > head_dim_) return fail(Code::LoadFailed, "{}: rotary dimension {} is not even and within 'head_dim'", path_, rotary);
    put("rope.freq_base", base);
    put("rope.dimension_count", rotary);
    return rope_scaling(*parameters, base, rotary);
  }

  Result<> local_rope(const json::object& sliding) {
    if (family_->architecture != "gemma3") return {};
    if (scaling_type(sliding) != "default") return fail(Code::LoadFailed, "{}: scaled RoPE in windowed layers is not supported", path_);
    VERGE_ASSIGN(config_base, positive(config_, "rope_local_base_freq", 1e4));
    VERGE_ASSIGN(base, positive(sliding, "rope_theta", config_base));
    put("rope.freq_base_swa", base);
    return {};
  }

  static std::string scaling_type(const json::object& parameters) {
    if (auto type = get_string(parameters, "rope_type")) return *type;
    return get_string(parameters, "type").value_or("default");
  }

  Result<> rope_scaling(const json::object& parameters, double base, int64_t rotary) {
    const std::string type = scaling_type(parameters);
    if (type == "default") return {};
    if (type != "linear" && type != "yarn" && type != "llama3") {
      return fail(Code::LoadFailed, "{}: RoPE type '{}' is not supported (default, linear, yarn and llama3 are)", path_, type.substr(0, 32));
    }
    VERGE_ASSIGN(config_original, positive(config_, "original_max_position_embeddings", static_cast<double>(context_)));
    VERGE_ASSIGN(original, positive(parameters, "original_max_position_embeddings", config_original));
    VERGE_ASSIGN(factor, positive(parameters, "factor", type == "yarn" ? static_cast<double>(context_) / original : 0));
    if (type == "linear") {
      put("rope.scaling.type", std::string("linear"));
      put("rope.scaling.factor", factor);
      return {};
    }
    if (type == "yarn") return yarn(parameters, factor, original);
    return llama3(parameters, factor, original, base, rotary);
  }

  Result<> yarn(const json::object& parameters, double factor, double original) {
    if (!get_bool(parameters, "truncate").value_or(true)) return fail(Code::LoadFailed, "{}: YaRN with 'truncate' false is not supported", path_);
    VERGE_ASSIGN(fast, positive(parameters, "beta_fast", 32));
    VERGE_ASSIGN(slow, positive(parameters, "beta_slow", 1));
    const auto mscale = [factor](double weight) { return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1; };
    double attention = mscale(1);
    const double numerator = get_number(parameters, "mscale").value_or(0), denominator = get_number(parameters, "mscale_all_dim").value_or(0);
    if (numerator != 0 && denominator != 0) attention = mscale(numerator) / mscale(denominator);
    VERGE_ASSIGN(stated, positive(parameters, "attention_factor", attention));
    put("rope.scaling.type", std::string("yarn"));
    put("rope.scaling.factor", factor);
    put("rope.scaling.original_context_length", static_cast<int64_t>(original));
    put("rope.scaling.yarn_beta_fast", fast);
    put("rope.scaling.yarn_beta_slow", slow);
    put("rope.scaling.attn_factor", stated / mscale(1));
    return {};
  }

  // Long waves are slowed by `factor`, short ones kept, those between interpolated.
  Result<> llama3(const json::object& parameters, double factor, double original, double base, int64_t rotary) {
    VERGE_ASSIGN(low, positive(parameters, "low_freq_factor", 1));
    VERGE_ASSIGN(high, positive(parameters, "high_freq_factor", 4));
    if (high <= low) return fail(Code::LoadFailed, "{}: 'high_freq_factor' must be above 'low_freq_factor'", path_);
    if (rotary > (1 << 16)) return fail(Code::LoadFailed, "{}: 'head_dim' {} is too large", path_, rotary);
    for (int64_t i = 0; i < rotary; i += 2) {
      const double wave = 2 * std::numbers::pi * std::pow(base, static_cast<double>(i) / static_cast<double>(rotary));
      double divisor = factor;
      if (wave < original / high) divisor = 1;
      else if (wave <= original / low) {
        const double smooth = (original / wave - low) / (high - low);
        divisor = 1 / ((1 - smooth) / factor + smooth);
      }
      hub_.rope_factors.push_back(static_cast<float>(divisor));
    }
    return {};
  }

  void token_ids() {
    if (auto id = get_int(config_, "bos_token_id")) put("tokenizer.ggml.bos_token_id", *id);
    const json::array* ends = get_array(config_, "eos_token_id");
    const auto id = ends && !ends->empty() && ends->front().is_int64() ? ends->front().get_int64() : get_int(config_, "eos_token_id");
    if (id) put("tokenizer.ggml.eos_token_id", *id);
  }

  const json::object& config_;
  const std::string& path_;
  ModelFile* file_;
  const Family* family_ = nullptr;
  HubConfig hub_;
  int64_t layers_ = 0, head_dim_ = 0, context_ = 0;
};

}  // namespace

Result<HubConfig> translate_config(const json::object& config, const std::string& path, ModelFile* file) {
  return Translator(config, path, file).translate();
}

}  // namespace verge::engine
