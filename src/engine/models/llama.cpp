// Llama (Touvron et al. 2023; Llama 3, 2024) and what is built like it: Mistral, TinyLlama, SmolLM, and through
// LlamaConfig's switches Qwen and Gemma.
//
//   x = embedding
//   each layer:  x += Wo·attention(Wq·n, Wk·n, Wv·n)    n = rms_norm(x)
//                x += Wdown·(activation(Wgate·m) * Wup·m)  m = rms_norm(x)
//   logits = Woutput·rms_norm(x)
//
// A step runs the rows of all its sequences through each layer together, so a weight is read once a step. The
// activations live in buffers for limits::kBatchTokens rows, made once at load: nothing here grows with the
// context; keys and values live in the caller's pages.
#include "engine/models/llama.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "engine/formats/close_files.h"
#include "engine/models/parts/llama_weights.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

// --- configuration

// A whole number within [low, high], or `fallback` (where that is >= 0) if the key is absent.
Result<int64_t> read_integer(const ModelFile& file, const char* key, int64_t low, int64_t high, int64_t fallback = -1) {
  const auto value = file.integer(key);
  if (!value && file.meta.find(key) == file.meta.end() && fallback >= 0) return fallback;
  if (!value) return fail(Code::LoadFailed, "{}: '{}' is missing or not one whole number", file.path, key);
  if (*value < low || *value > high) return fail(Code::LoadFailed, "{}: '{}' is {}, must be {} to {}", file.path, key, *value, low, high);
  return *value;
}

Result<double> read_number(const ModelFile& file, const char* key, double fallback) {
  const double value = file.number(key).value_or(fallback);
  if (!std::isfinite(value) || value < 0) return fail(Code::LoadFailed, "{}: '{}' must not be negative", file.path, key);
  return value;
}

Result<RopeConfig> read_rope(const ModelFile& file, int head_dim, int context_tokens) {
  RopeConfig rope;
  VERGE_ASSIGN(rotary, read_integer(file, "rope.dimension_count", 2, head_dim, head_dim));
  if (rotary % 2 != 0) return fail(Code::LoadFailed, "{}: 'rope.dimension_count' {} is odd", file.path, rotary);
  rope.rotary_dim = static_cast<int>(rotary);
  VERGE_ASSIGN(base, read_number(file, "rope.freq_base", 10000));
  if (base <= 1) return fail(Code::LoadFailed, "{}: 'rope.freq_base' {} must be above 1", file.path, base);
  rope.base = base;

  const std::string type = file.text("rope.scaling.type").value_or("none");
  VERGE_ASSIGN(old_factor, read_number(file, "rope.scale_linear", 1));  // the key before rope.scaling.*
  VERGE_ASSIGN(factor, read_number(file, "rope.scaling.factor", old_factor));
  if (factor == 0) return fail(Code::LoadFailed, "{}: 'rope.scaling.factor' is 0", file.path);
  rope.factor = factor;
  if (type == "linear" || (type == "none" && old_factor != 1)) {
    rope.scaling = RopeConfig::Scaling::Linear;
  } else if (type == "yarn") {
    rope.scaling = RopeConfig::Scaling::Yarn;
    VERGE_ASSIGN(original, read_integer(file, "rope.scaling.original_context_length", 1, limits::kContextTokens, context_tokens));
    rope.original_context = static_cast<double>(original);
    VERGE_ASSIGN(fast, read_number(file, "rope.scaling.yarn_beta_fast", 32));
    VERGE_ASSIGN(slow, read_number(file, "rope.scaling.yarn_beta_slow", 1));
    if (fast == 0 || slow == 0) return fail(Code::LoadFailed, "{}: 'rope.scaling.yarn_beta_fast' and '…_slow' must be positive", file.path);
    VERGE_ASSIGN(attention, read_number(file, "rope.scaling.attn_factor", 1));
    rope.beta_fast = fast;
    rope.beta_slow = slow;
    rope.attention_factor = attention;
  } else if (type != "none") {
    return fail(Code::LoadFailed, "{}: 'rope.scaling.type' '{}' is not supported", file.path, type.substr(0, 32));
  }
  return rope;
}

}  // namespace

Result<LlamaConfig> read_llama_config(const ModelFile& file) {
  LlamaConfig c;
  if (file.integer("expert_count").value_or(0) > 0) {
    return fail(Code::LoadFailed, "{}: mixtures of experts ('expert_count') are not supported", file.path);
  }
  VERGE_ASSIGN(layers, read_integer(file, "block_count", 1, limits::kLayers));
  VERGE_ASSIGN(dim, read_integer(file, "embedding_length", 1, limits::kModelWidth));
  VERGE_ASSIGN(ff, read_integer(file, "feed_forward_length", 1, limits::kModelWidth));
  VERGE_ASSIGN(heads, read_integer(file, "attention.head_count", 1, limits::kHeads));
  VERGE_ASSIGN(kv_heads, read_integer(file, "attention.head_count_kv", 1, heads, heads));
  if (heads % kv_heads != 0) return fail(Code::LoadFailed, "{}: {} heads are not a multiple of {} KV heads", file.path, heads, kv_heads);
  if (!file.integer("attention.key_length") && dim % heads != 0) {
    return fail(Code::LoadFailed, "{}: width {} is not a multiple of {} heads", file.path, dim, heads);
  }
  VERGE_ASSIGN(head_dim, read_integer(file, "attention.key_length", 2, limits::kHeadDim, dim / heads));
  VERGE_ASSIGN(value_dim, read_integer(file, "attention.value_length", 2, limits::kHeadDim, head_dim));
  if (value_dim != head_dim || head_dim % 2 != 0 || head_dim < 2) {
    return fail(Code::LoadFailed, "{}: heads of {} (keys) and {} (values) channels are not supported: must be equal and even", file.path, head_dim, value_dim);
  }
  VERGE_ASSIGN(context, read_integer(file, "context_length", 1, limits::kContextTokens));
  VERGE_ASSIGN(eps, read_number(file, "attention.layer_norm_rms_epsilon", 1e-5));
  VERGE_ASSIGN(window, read_integer(file, "attention.sliding_window", 0, INT32_MAX, 0));
  VERGE_ASSIGN(pattern, read_integer(file, "attention.sliding_window_pattern", 0, INT32_MAX, 0));
  VERGE_ASSIGN(scale, read_number(file, "attention.scale", 0));
  VERGE_ASSIGN(softcap, read_number(file, "attn_logit_softcapping", 0));
  VERGE_ASSIGN(logit_softcap, read_number(file, "final_logit_softcapping", 0));
  VERGE_ASSIGN(local_base, read_number(file, "rope.freq_base_swa", 0));
  VERGE_ASSIGN(rope, read_rope(file, static_cast<int>(head_dim), static_cast<int>(context)));
  const auto embedding = file.tensors.find("token_embd.weight");
  if (embedding == file.tensors.end() || embedding->second.rank != 2) return fail(Code::LoadFailed, "{}: tensor 'token_embd.weight' is missing or no matrix", file.path);

  c.layers = static_cast<int>(layers);
  c.heads = static_cast<int>(heads);
  c.kv_heads = static_cast<int>(kv_heads);
  c.head_dim = static_cast<int>(head_dim);
  c.dim = dim;
  c.ff = ff;
  c.vocabulary = embedding->second.shape[0];
  c.context_tokens = static_cast<int>(context);
  c.norm_eps = static_cast<float>(eps);
  c.rope = rope;
  c.local_rope_base = local_base;
  c.window = static_cast<int>(window);
  c.window_pattern = static_cast<int>(pattern);
  c.attention_scale = scale > 0 ? static_cast<float>(scale) : 1 / std::sqrt(static_cast<float>(head_dim));
  c.attention_softcap = static_cast<float>(softcap);
  c.logit_softcap = static_cast<float>(logit_softcap);
  c.causal = file.boolean("attention.causal").value_or(true);
  return c;
}

namespace {

// Floats of the activations of a full step, buffer by buffer.
struct Buffers {
  std::vector<float> x, y, q, k, v, heads, ff, cos, sin, local_cos, local_sin;
  explicit Buffers(const LlamaConfig& c) {
    const auto rows = [](std::vector<float>& buffer, int64_t width) { buffer.resize(static_cast<size_t>(limits::kBatchTokens * width)); };
    rows(x, c.dim), rows(y, c.dim);
    rows(q, int64_t{c.heads} * c.head_dim), rows(heads, int64_t{c.heads} * c.head_dim);
    rows(k, int64_t{c.kv_heads} * c.head_dim), rows(v, int64_t{c.kv_heads} * c.head_dim);
    rows(ff, c.ff);
    rows(cos, c.rope.rotary_dim / 2), rows(sin, c.rope.rotary_dim / 2);
    if (c.local_rope_base > 0) rows(local_cos, c.rope.rotary_dim / 2), rows(local_sin, c.rope.rotary_dim / 2);
  }
  static size_t bytes(const LlamaConfig& c) {
    const int64_t widths = 2 * c.dim + 2 * int64_t{c.heads + c.kv_heads} * c.head_dim + c.ff + 2 * c.rope.rotary_dim;
    return static_cast<size_t>(widths) * limits::kBatchTokens * sizeof(float);
  }
};

// --- model

class Llama final : public LanguageModel {
 public:
  Llama(std::shared_ptr<ModelFile> file, const LlamaConfig& config, Backend& backend, LlamaWeights weights, ModelInfo info)
      : file_(std::move(file)), c_(config), backend_(backend), w_(std::move(weights)), info_(std::move(info)), b_(config),
        rope_(rope_config()), local_rope_(local_rope_config()) {}

  const ModelInfo& info() const override { return info_; }
  Backend& backend() override { return backend_; }
  Result<std::unique_ptr<KvCache>> make_kv_cache(int pages, KvType type) override {
    return backend_.make_kv_cache(c_.layers, c_.kv_heads, c_.head_dim, pages, type);
  }

  void forward(std::span<const StepSequence> step, KvCache& cache, float* logits) override {
    begin(step);
    backend_.embed(w_.embedding, tokens_, c_.embedding_scale, b_.x.data());
    for (int i = 0; i < c_.layers; ++i) {
      attention(w_.layers[static_cast<size_t>(i)], i, cache);
      mlp(w_.layers[static_cast<size_t>(i)]);
    }
    output(logits);
  }

 private:
  int n() const { return static_cast<int>(tokens_.size()); }
  RmsNorm norm(const std::vector<float>& weight) const { return {weight.data(), c_.norm_eps}; }

  // Rows, positions and rotary angles of the step.
  void begin(std::span<const StepSequence> step) {
    tokens_.clear();
    sequences_.clear();
    wanted_.clear();
    const size_t half = rope_.frequencies().size();
    for (const StepSequence& s : step) {
      const int rows = static_cast<int>(s.tokens.size()), first = n();
      assert(rows >= 1 && first + rows <= limits::kBatchTokens && s.logits >= 0 && s.logits <= rows);
      sequences_.push_back({first, rows, s.position, s.pages});
      tokens_.insert(tokens_.end(), s.tokens.begin(), s.tokens.end());
      for (int i = 0; i < rows; ++i) {
        const size_t at = static_cast<size_t>(first + i) * half;
        rope_.angles(s.position + i, &b_.cos[at], &b_.sin[at]);
        if (c_.local_rope_base > 0) local_rope_.angles(s.position + i, &b_.local_cos[at], &b_.local_sin[at]);
      }
      for (int i = rows - s.logits; i < rows; ++i) wanted_.push_back(first + i);
    }
    rows_ = n();
  }

  void attention(const LlamaLayer& layer, int index, KvCache& cache) {
    const LinearOutput qkv[] = {{layer.q.get(), data_or_null(layer.q_bias), b_.q.data(), false},
                                {layer.k.get(), data_or_null(layer.k_bias), b_.k.data(), false},
                                {layer.v.get(), data_or_null(layer.v_bias), b_.v.data(), false}};
    backend_.linear(b_.x.data(), n(), norm(layer.attn_norm), qkv);

    const bool windowed = c_.windowed(index), local = windowed && c_.local_rope_base > 0;
    AttentionArgs a;
    a.n = n();
    a.heads = c_.heads;
    a.kv_heads = c_.kv_heads;
    a.head_dim = c_.head_dim;
    a.q = b_.q.data();
    a.k = b_.k.data();
    a.v = b_.v.data();
    a.out = b_.heads.data();
    a.q_norm = data_or_null(layer.q_norm);
    a.k_norm = data_or_null(layer.k_norm);
    a.norm_eps = c_.norm_eps;
    a.rope = {local ? b_.local_cos.data() : b_.cos.data(), local ? b_.local_sin.data() : b_.sin.data(), c_.rope.rotary_dim, file_->rope_interleaved};
    a.scale = c_.attention_scale;
    a.softcap = c_.attention_softcap;
    a.window = windowed ? c_.window : 0;
    a.layer = index;
    a.cache = &cache;
    a.sequences = sequences_;
    backend_.attention(a);
    if (index == c_.layers - 1) keep_wanted_rows();
    add_to_x(*layer.o, data_or_null(layer.o_bias), b_.heads.data(), layer.post_attn_norm);
  }

  // After the last attention only rows that want logits matter: of a prompt's chunk, one or none.
  void keep_wanted_rows() {
    rows_ = static_cast<int>(wanted_.size());
    if (rows_ == n()) return;
    backend_.gather_rows(b_.x.data(), wanted_, c_.dim, b_.y.data());
    backend_.gather_rows(b_.heads.data(), wanted_, int64_t{c_.heads} * c_.head_dim, b_.q.data());
    std::swap(b_.x, b_.y);
    std::swap(b_.heads, b_.q);
  }

  void mlp(const LlamaLayer& layer) {
    backend_.gated_linear(b_.x.data(), rows_, norm(layer.ffn_norm), *layer.gate, *layer.up, c_.activation, b_.ff.data());
    add_to_x(*layer.down, nullptr, b_.ff.data(), layer.post_ffn_norm);
  }

  // x += W·in + bias, normed first where the layer has a norm for it.
  void add_to_x(const Matrix& weight, const float* bias, const float* in, const std::vector<float>& post_norm) {
    const bool normed = !post_norm.empty();
    const LinearOutput out[] = {{&weight, bias, normed ? b_.y.data() : b_.x.data(), !normed}};
    backend_.linear(in, rows_, RmsNorm{}, out);
    if (normed) backend_.add_norm(b_.x.data(), b_.y.data(), rows_, c_.dim, norm(post_norm));
  }

  void output(float* logits) {
    if (rows_ == 0) return;
    const LinearOutput out[] = {{w_.output.get(), nullptr, logits, false}};
    backend_.linear(b_.x.data(), rows_, norm(w_.output_norm), out);
    if (c_.logit_softcap > 0) backend_.softcap(logits, rows_ * c_.vocabulary, c_.logit_softcap);
  }

  RopeConfig rope_config() const {
    RopeConfig rope = c_.rope;
    rope.divisors = w_.rope_divisors;
    return rope;
  }
  RopeConfig local_rope_config() const {
    RopeConfig rope;
    rope.rotary_dim = c_.rope.rotary_dim;
    rope.base = c_.local_rope_base > 0 ? c_.local_rope_base : c_.rope.base;
    return rope;
  }

  const std::shared_ptr<ModelFile> file_;  // holds the embedding's bytes, in memory
  const LlamaConfig c_;
  Backend& backend_;
  const LlamaWeights w_;
  const ModelInfo info_;
  Buffers b_;
  const Rope rope_, local_rope_;
  // The step's rows: tokens, the sequences they belong to, the rows that want logits.
  std::vector<int32_t> tokens_, wanted_;
  int rows_ = 0;  // that x holds: all of the step, or those that want logits once keep_wanted_rows() has run
  std::vector<SequenceRows> sequences_;
};

}  // namespace

Result<std::unique_ptr<LanguageModel>> load_llama(std::shared_ptr<ModelFile> file, const LlamaConfig& c, Backend& backend, const LoadOptions& options) {
  if (!c.causal) return fail(Code::LoadFailed, "{}: a model that reads a text in both directions cannot write one; it is for embeddings", file->path);
  WeightReader reader(*file, &backend, backend, options.precision, &options);
  LlamaWeights weights;
  VERGE_TRY(read_llama_weights(reader, *file, c, &weights));
  VERGE_TRY(read_llama_output(reader, *file, c, &weights));
  VERGE_TRY(close_files(*file, {&weights.embedding}));
  ModelInfo info;
  info.architecture = file->architecture;
  info.layers = c.layers;
  info.kv_heads = c.kv_heads;
  info.head_dim = c.head_dim;
  info.width = c.dim;
  info.vocabulary = c.vocabulary;
  info.context_tokens = c.context_tokens;
  info.parameters = reader.parameters();
  info.weight_bytes = reader.bytes();
  info.bytes_per_token = reader.matrix_bytes();
  return std::unique_ptr<LanguageModel>(std::make_unique<Llama>(std::move(file), c, backend, std::move(weights), std::move(info)));
}

Result<ModelNeed> llama_need(const ModelFile& file, const LlamaConfig& c, const Backend& backend, Precision precision) {
  WeightReader reader(file, nullptr, backend, precision, nullptr);
  LlamaWeights none;
  VERGE_TRY(read_llama_weights(reader, file, c, &none));
  VERGE_TRY(read_llama_output(reader, file, c, &none));
  ModelNeed need;
  need.weights = reader.bytes();
  need.kv_per_token = backend.kv_page_bytes(c.layers, c.kv_heads, c.head_dim, KvType::F16) / limits::kPageTokens;
  need.scratch = Buffers::bytes(c) + static_cast<size_t>(c.vocabulary) * limits::kSequences * sizeof(float);
  need.context_tokens = c.context_tokens;
  return need;
}

std::span<const Architecture> llama_architectures() {
  static const Architecture list[] = {llama_variant<read_llama_config>("llama"), llama_variant<read_llama_config>("mistral")};
  return list;
}

}  // namespace verge::engine
