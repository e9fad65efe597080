// A decoder of the Llama family read as an encoder, as embedding models made of one are (Qwen3-Embedding, EmbeddingGemma,
// E5-Mistral): its rows after the last norm, without the output matrix. A text is there as a whole, so there is no cache:
// attention packs texts behind each other as BERT's does, causal unless the configuration says otherwise.
#include <algorithm>
#include <cassert>

#include "engine/models/llama.h"
#include "engine/formats/close_files.h"
#include "engine/models/parts/llama_weights.h"

namespace verge::engine {
namespace {

// Rows of a layer's dense part that run together: their activations stay in the second-level cache.
constexpr int kRows = 128;

class DecoderEncoder final : public Encoder {
 public:
  DecoderEncoder(std::shared_ptr<ModelFile> file, const LlamaConfig& config, Backend& backend, LlamaWeights weights, EncoderInfo info)
      : file_(std::move(file)), c_(config), backend_(backend), w_(std::move(weights)), info_(std::move(info)), rope_(rope_config()),
        local_rope_(local_rope_config()) {}

  const EncoderInfo& info() const override { return info_; }

  void encode(std::span<const EncoderText> texts, float* hidden) override {
    begin(texts);
    backend_.embed(w_.embedding, tokens_, c_.embedding_scale, x_.data());
    for (int i = 0; i < c_.layers; ++i) {
      const LlamaLayer& layer = w_.layers[static_cast<size_t>(i)];
      attention(layer, i);
      dense(layer);
    }
    std::fill_n(hidden, static_cast<size_t>(n() * c_.dim), 0.0f);
    backend_.add_norm(hidden, x_.data(), n(), c_.dim, norm(w_.output_norm));
  }

  void classify(std::span<const EncoderText>, const float*, float*) override { assert(false && "no head"); }

 private:
  int n() const { return static_cast<int>(tokens_.size()); }
  size_t dim() const { return static_cast<size_t>(c_.dim); }
  size_t q_width() const { return static_cast<size_t>(c_.heads) * static_cast<size_t>(c_.head_dim); }
  size_t kv_width() const { return static_cast<size_t>(c_.kv_heads) * static_cast<size_t>(c_.head_dim); }
  RmsNorm norm(const std::vector<float>& weight) const { return {weight.data(), c_.norm_eps}; }

  // Rows of the call: tokens, angles of their positions, where each text starts.
  void begin(std::span<const EncoderText> texts) {
    tokens_.clear();
    starts_.assign(1, 0);
    for (const EncoderText& text : texts) {
      assert(!text.tokens.empty() && static_cast<int>(text.tokens.size()) <= c_.context_tokens);
      tokens_.insert(tokens_.end(), text.tokens.begin(), text.tokens.end());
      starts_.push_back(n());
    }
    const size_t rows = tokens_.size(), half = rope_.frequencies().size();
    const auto grow = [](std::vector<float>& buffer, size_t floats) { if (buffer.size() < floats) buffer.resize(floats); };
    grow(x_, rows * dim()), grow(y_, kRows * dim()), grow(ff_, kRows * static_cast<size_t>(c_.ff));
    grow(q_, rows * q_width()), grow(heads_, rows * q_width()), grow(k_, rows * kv_width()), grow(v_, rows * kv_width());
    for (std::vector<float>* table : {&cos_, &sin_, &local_cos_, &local_sin_}) grow(*table, rows * half);
    for (size_t text = 0; text + 1 < starts_.size(); ++text) {
      for (int row = starts_[text]; row < starts_[text + 1]; ++row) {
        const size_t at = static_cast<size_t>(row) * half;
        rope_.angles(row - starts_[text], &cos_[at], &sin_[at]);
        if (c_.local_rope_base > 0) local_rope_.angles(row - starts_[text], &local_cos_[at], &local_sin_[at]);
      }
    }
  }

  // heads_ = attention of x_, before its output projection.
  void attention(const LlamaLayer& layer, int index) {
    for (int row = 0; row < n(); row += kRows) {
      const auto at = static_cast<size_t>(row);
      const LinearOutput qkv[] = {{layer.q.get(), data_or_null(layer.q_bias), q_.data() + at * q_width(), false},
                                  {layer.k.get(), data_or_null(layer.k_bias), k_.data() + at * kv_width(), false},
                                  {layer.v.get(), data_or_null(layer.v_bias), v_.data() + at * kv_width(), false}};
      backend_.linear(x_.data() + at * dim(), std::min(kRows, n() - row), norm(layer.attn_norm), qkv);
    }
    const bool windowed = c_.windowed(index), local = windowed && c_.local_rope_base > 0;
    FullAttentionArgs a;
    a.heads = c_.heads;
    a.kv_heads = c_.kv_heads;
    a.head_dim = c_.head_dim;
    a.q = q_.data();
    a.k = k_.data();
    a.v = v_.data();
    a.out = heads_.data();
    a.scale = c_.attention_scale;
    a.softcap = c_.attention_softcap;
    a.starts = starts_;
    if (c_.causal) {
      a.ahead = 0;
      if (windowed) a.behind = c_.window - 1;
    } else if (windowed) {
      a.behind = a.ahead = c_.window / 2;
    }
    a.q_norm = layer.q_norm.empty() ? nullptr : layer.q_norm.data();
    a.k_norm = layer.k_norm.empty() ? nullptr : layer.k_norm.data();
    a.norm_eps = c_.norm_eps;
    a.rope = {local ? local_cos_.data() : cos_.data(), local ? local_sin_.data() : sin_.data(), c_.rope.rotary_dim, file_->rope_interleaved};
    backend_.full_attention(a);
  }

  // x += Wo·heads, then x += Wdown·(activation(Wgate·m) * Wup·m), a few rows at a time.
  void dense(const LlamaLayer& layer) {
    for (int row = 0; row < n(); row += kRows) {
      const int rows = std::min(kRows, n() - row);
      float* x = x_.data() + static_cast<size_t>(row) * dim();
      add(*layer.o, layer.o_bias, heads_.data() + static_cast<size_t>(row) * q_width(), rows, layer.post_attn_norm, x);
      backend_.gated_linear(x, rows, norm(layer.ffn_norm), *layer.gate, *layer.up, c_.activation, ff_.data());
      add(*layer.down, {}, ff_.data(), rows, layer.post_ffn_norm, x);
    }
  }

  // x += W·in + bias, normed first where the layer has a norm for it.
  void add(const Matrix& weight, const std::vector<float>& bias, const float* in, int rows, const std::vector<float>& post_norm, float* x) {
    const bool normed = !post_norm.empty();
    const LinearOutput out[] = {{&weight, data_or_null(bias), normed ? y_.data() : x, !normed}};
    backend_.linear(in, rows, RmsNorm{}, out);
    if (normed) backend_.add_norm(x, y_.data(), rows, c_.dim, norm(post_norm));
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
  const EncoderInfo info_;
  const Rope rope_, local_rope_;
  std::vector<int32_t> tokens_, starts_;
  std::vector<float> x_, y_, q_, k_, v_, heads_, ff_, cos_, sin_, local_cos_, local_sin_;
};

}  // namespace

Result<std::unique_ptr<Encoder>> load_llama_encoder(std::shared_ptr<ModelFile> file, const LlamaConfig& c, Backend& backend, const LoadOptions& options) {
  WeightReader reader(*file, &backend, backend, options.precision, &options);
  LlamaWeights weights;
  VERGE_TRY(read_llama_weights(reader, *file, c, &weights));
  file->tensors.erase("output.weight");  // a text generator's: known, and of no use here
  VERGE_TRY(reader.finish());
  VERGE_TRY(close_files(*file, {&weights.embedding}));
  EncoderInfo info;
  info.architecture = file->architecture;
  info.layers = c.layers;
  info.width = c.dim;
  info.vocabulary = c.vocabulary;
  info.context_tokens = c.context_tokens;
  info.causal = c.causal;
  info.parameters = reader.parameters();
  info.weight_bytes = reader.bytes();
  return std::unique_ptr<Encoder>(std::make_unique<DecoderEncoder>(std::move(file), c, backend, std::move(weights), std::move(info)));
}

}  // namespace verge::engine
