// Sources: transformers' configuration_*.py (defaults), modeling_rope_utils.py (RoPE variants); llama.cpp's
// convert_hf_to_gguf.py (keys, rope_freqs).
#include "engine/models/decoder/hub.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/models/parts/hub_tensors.h"
#include "engine/models/table.h"
#include "support/limits.h"

namespace verge::engine {

HubReader::HubReader(const json::object& config, const HubFamily& family, ModelFile* file)
    : config_(config), family_(family), file_(file), path_(file->path + "/config.json") {}

Result<> HubReader::read() {
  put("general.architecture", file_->architecture);
  if (auto model = get_string(config_, "_name_or_path"); model && !model->empty()) put("general.name", *model);
  VERGE_TRY(refuse_variants());
  VERGE_TRY(sizes());
  VERGE_TRY(windows());
  if (family_.own) VERGE_TRY(family_.own(*this));
  VERGE_TRY(rope());
  token_ids();
  return tensors();
}

bool HubReader::present(std::string_view key) const {
  const json::value* value = config_.if_contains(key);
  return value && !value->is_null();
}

Result<int64_t> HubReader::size(std::string_view key, int64_t fallback) const {
  if (!present(key)) {
    if (fallback > 0) return fallback;
    return fail(Code::LoadFailed, "{}: '{}' is missing", path_, key);
  }
  const auto value = get_int(config_, key);
  if (!value || *value < 1 || *value > INT32_MAX) return fail(Code::LoadFailed, "{}: '{}' must be a whole number from 1 to {}", path_, key, INT32_MAX);
  return *value;
}

Result<double> HubReader::positive(const json::object& object, std::string_view key, double fallback) const {
  const json::value* value = object.if_contains(key);
  if (!value || value->is_null()) {
    if (fallback > 0) return fallback;
    return fail(Code::LoadFailed, "{}: '{}' is missing", path_, key);
  }
  const auto number = get_number(object, key);
  if (!number || !(*number > 0) || !std::isfinite(*number)) return fail(Code::LoadFailed, "{}: '{}' must be a positive number", path_, key);
  return *number;
}

const json::object& HubReader::rope_parameters() const {
  static const json::object kEmpty;
  const json::object* parameters = get_object(config_, "rope_parameters");
  if (!parameters) parameters = get_object(config_, "rope_scaling");
  return parameters ? *parameters : kEmpty;
}

std::string HubReader::rope_type(const json::object& parameters) {
  if (auto type = get_string(parameters, "rope_type")) return *type;
  return get_string(parameters, "type").value_or("default");
}

Result<> HubReader::refuse_variants() {
  if (present("quantization_config")) {
    const json::object* quantisation = get_object(config_, "quantization_config");
    const std::string method = quantisation ? get_string(*quantisation, "quant_method").value_or("") : "";
    return fail(Code::LoadFailed, "{}: weights quantised by '{}' are not supported; use the original or a GGUF file", path_, method.substr(0, 32));
  }
  std::string activation = get_string(config_, "hidden_activation").value_or("");
  if (activation.empty()) activation = get_string(config_, "hidden_act").value_or("");
  // Gemma's first files say "gelu" and were trained with the tanh form; transformers uses that too.
  const bool known = family_.gelu ? activation == "gelu_pytorch_tanh" || activation == "gelu" || activation == "gelu_new" : activation == "silu";
  if (!activation.empty() && !known) return fail(Code::LoadFailed, "{}: activation '{}' is not supported for {}", path_, activation.substr(0, 32), family_.class_name);
  // `sliding_window` then is the whole window, half of it to each side, as GGUF's key has it too.
  if (get_bool(config_, "use_bidirectional_attention").value_or(false)) {
    if (!family_.both_ways) return fail(Code::LoadFailed, "{}: 'use_bidirectional_attention' is not supported for {}", path_, family_.class_name);
    put("attention.causal", false);
  }
  return {};
}

Result<> HubReader::sizes() {
  VERGE_ASSIGN(hidden, size("hidden_size", 0));
  VERGE_ASSIGN(layers, size("num_hidden_layers", 0));
  if (layers > static_cast<int64_t>(limits::kTensorCount)) return fail(Code::LoadFailed, "{}: {} layers, limit {}", path_, layers, limits::kTensorCount);
  VERGE_ASSIGN(heads, size("num_attention_heads", 0));
  VERGE_ASSIGN(kv_heads, size("num_key_value_heads", heads));
  VERGE_ASSIGN(feed_forward, size("intermediate_size", 0));
  VERGE_ASSIGN(context, size("max_position_embeddings", family_.context));
  VERGE_ASSIGN(vocabulary, size("vocab_size", 0));
  if (!present("head_dim") && family_.head_dim == 0 && hidden % heads != 0) {
    return fail(Code::LoadFailed, "{}: 'hidden_size' {} is not a multiple of 'num_attention_heads' {}", path_, hidden, heads);
  }
  VERGE_ASSIGN(head_dim, size("head_dim", family_.head_dim ? family_.head_dim : hidden / heads));
  VERGE_ASSIGN(epsilon, positive(config_, "rms_norm_eps", family_.norm_eps));
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
Result<> HubReader::windows() {
  const bool switched_off = family_.window == HubWindow::Switched && !get_bool(config_, "use_sliding_window").value_or(false);
  const json::value* stated = config_.if_contains("sliding_window");
  const bool unstated = family_.window == HubWindow::Stated && !stated;
  if (family_.window == HubWindow::Never || switched_off || unstated || (stated && stated->is_null())) return {};
  VERGE_ASSIGN(window, size("sliding_window", 4096));  // the others' default where the key is missing
  VERGE_ASSIGN(windowed, windowed_layers());
  const auto count = std::count(windowed.begin(), windowed.end(), true);
  if (count == 0) return {};
  put("attention.sliding_window", window);
  if (count == layers_ && family_.window != HubWindow::Alternating) return {};
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

Result<std::vector<bool>> HubReader::windowed_layers() const {
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
  if (family_.window == HubWindow::Switched) {  // layers from max_window_layers on
    const int64_t first = get_int(config_, "max_window_layers").value_or(28);
    for (size_t i = 0; i < windowed.size(); ++i) windowed[i] = static_cast<int64_t>(i) >= first;
  } else if (family_.window == HubWindow::Alternating) {
    VERGE_ASSIGN(pattern, size("sliding_window_pattern", family_.pattern));
    for (size_t i = 0; i < windowed.size(); ++i) windowed[i] = (static_cast<int64_t>(i) + 1) % pattern != 0;
  }
  return windowed;
}

Result<> HubReader::rope() {
  const json::object* parameters = &rope_parameters();
  if (const json::object* full = get_object(*parameters, "full_attention")) parameters = full;
  VERGE_ASSIGN(config_base, positive(config_, "rope_theta", family_.rope_base));
  VERGE_ASSIGN(base, positive(*parameters, "rope_theta", config_base));
  VERGE_ASSIGN(config_partial, positive(config_, "partial_rotary_factor", 1));
  VERGE_ASSIGN(partial, positive(*parameters, "partial_rotary_factor", config_partial));
  const auto rotary = static_cast<int64_t>(static_cast<double>(head_dim_) * partial);
  if (rotary < 2 || rotary % 2 != 0 || rotary > head_dim_) return fail(Code::LoadFailed, "{}: rotary dimension {} is not even and within 'head_dim'", path_, rotary);
  put("rope.freq_base", base);
  put("rope.dimension_count", rotary);
  return rope_scaling(*parameters, base, rotary);
}

Result<> HubReader::rope_scaling(const json::object& parameters, double base, int64_t rotary) {
  const std::string type = rope_type(parameters);
  if (type == "default") return {};
  if (type != "linear" && type != "yarn" && type != "llama3" && type != "longrope" && type != "su") {
    return fail(Code::LoadFailed, "{}: RoPE type '{}' is not supported (default, linear, yarn, llama3 and longrope are)", path_, type.substr(0, 32));
  }
  // A family whose class has the key prefers the one outside, as transformers does.
  const double usual = static_cast<double>(family_.original_context > 0 ? family_.original_context : context_);
  VERGE_ASSIGN(outside, positive(config_, "original_max_position_embeddings", usual));
  VERGE_ASSIGN(inside, positive(parameters, "original_max_position_embeddings", outside));
  const double original = family_.original_context > 0 && present("original_max_position_embeddings") ? outside : inside;
  // Phi 3's first files write "su", some "yarn", for what was called longrope later.
  if (type == "longrope" || type == "su" || (type == "yarn" && parameters.contains("long_factor"))) return longrope(parameters, original, rotary);
  VERGE_ASSIGN(factor, positive(parameters, "factor", type == "yarn" ? static_cast<double>(context_) / original : 0));
  if (type == "linear") {
    put("rope.scaling.type", std::string("linear"));
    put("rope.scaling.factor", factor);
    return {};
  }
  if (type == "yarn") return yarn(parameters, factor, original);
  return llama3(parameters, factor, original, base, rotary);
}

Result<> HubReader::yarn(const json::object& parameters, double factor, double original) {
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
Result<> HubReader::llama3(const json::object& parameters, double factor, double original, double base, int64_t rotary) {
  VERGE_ASSIGN(low, positive(parameters, "low_freq_factor", 1));
  VERGE_ASSIGN(high, positive(parameters, "high_freq_factor", 4));
  if (high <= low) return fail(Code::LoadFailed, "{}: 'high_freq_factor' must be above 'low_freq_factor'", path_);
  if (rotary > (1 << 16)) return fail(Code::LoadFailed, "{}: 'head_dim' {} is too large", path_, rotary);
  std::vector<float> divisors;
  for (int64_t i = 0; i < rotary; i += 2) {
    const double wave = 2 * std::numbers::pi * std::pow(base, static_cast<double>(i) / static_cast<double>(rotary));
    double divisor = factor;
    if (wave < original / high) divisor = 1;
    else if (wave <= original / low) {
      const double smooth = (original / wave - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return add_tensor(*file_, "rope_freqs.weight", divisors);
}

// LongRoPE (Ding et al. 2024): divisors for texts within the original context and for longer ones, and a factor of cos and sin.
Result<> HubReader::longrope(const json::object& parameters, double original, int64_t rotary) {
  VERGE_ASSIGN(short_factors, factors(parameters, "short_factor", rotary / 2));
  VERGE_ASSIGN(long_factors, factors(parameters, "long_factor", rotary / 2));
  VERGE_ASSIGN(factor, positive(parameters, "factor", static_cast<double>(context_) / original));
  VERGE_ASSIGN(attention, positive(parameters, "attention_factor", factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original))));
  put("rope.scaling.type", std::string("longrope"));
  put("rope.scaling.original_context_length", static_cast<int64_t>(original));
  put("rope.scaling.attn_factor", attention);
  VERGE_TRY(add_tensor(*file_, "rope_factors_short.weight", short_factors));
  return add_tensor(*file_, "rope_factors_long.weight", long_factors);
}

Result<std::vector<float>> HubReader::factors(const json::object& parameters, std::string_view key, int64_t count) const {
  const json::array* list = get_array(parameters, key);
  if (!list || list->size() != static_cast<size_t>(count)) return fail(Code::LoadFailed, "{}: longrope's '{}' must be a list of {} numbers", path_, key, count);
  std::vector<float> out;
  for (const json::value& item : *list) {
    const double number = item.is_number() ? item.to_number<double>() : 0;
    if (!(number > 0) || !std::isfinite(number)) return fail(Code::LoadFailed, "{}: longrope's '{}' must hold positive numbers", path_, key);
    out.push_back(static_cast<float>(number));
  }
  return out;
}

void HubReader::token_ids() {
  if (auto id = get_int(config_, "bos_token_id")) put("tokenizer.ggml.bos_token_id", *id);
  const json::array* ends = get_array(config_, "eos_token_id");
  const auto id = ends && !ends->empty() && ends->front().is_int64() ? ends->front().get_int64() : get_int(config_, "eos_token_id");
  if (id) put("tokenizer.ggml.eos_token_id", *id);
}

Result<> HubReader::tensors() {
  const bool tied = get_bool(config_, "tie_word_embeddings").value_or(family_.tied);
  VERGE_TRY(place_hub_tensors(*file_, [&](std::string_view name) {
    auto to = gguf_tensor_name(name, family_.names);
    return tied && to == "output.weight" ? std::optional<std::string>("") : to;
  }));
  return family_.norms_lack_one ? add_one(*file_, "norm.weight") : Result<>();
}

Result<> read_decoder_hub(ModelFile* file) {
  const json::object config = std::move(file->config);
  const std::string path = file->path + "/config.json";
  const json::array* names = get_array(config, "architectures");
  if (!names || names->empty() || !names->front().is_string()) return fail(Code::LoadFailed, "{}: no 'architectures'", path);
  const std::string_view name = names->front().get_string();
  std::string_view stem = name;
  for (std::string_view end : {"ForCausalLM", "TextModel", "Model"}) {  // Qwen3Model, Gemma3TextModel: the layers without an output matrix
    if (!stem.ends_with(end)) continue;
    stem.remove_suffix(end.size());
    break;
  }
  for (const Architecture* architecture : architectures()) {
    if (!architecture->hub || architecture->hub->class_name != stem || stem == name) continue;
    file->architecture = architecture->name;
    return HubReader(config, *architecture->hub, file).read();
  }
  return fail(Code::LoadFailed, "{}: architecture '{}' is not supported", path, name.substr(0, 100));
}

}  // namespace verge::engine
