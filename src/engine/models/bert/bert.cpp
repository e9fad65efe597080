#include "engine/models/bert/bert.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "engine/formats/close_files.h"
#include "engine/models/parts/weights.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

// --- configuration

struct Config {
  int layers = 0, heads = 0, head_dim = 0, context_tokens = 0, classes = 0;
  int64_t dim = 0, ff = 0, vocabulary = 0, types = 0;
  float norm_eps = 1e-12f;
  Activation activation = Activation::GeluErf;
  bool relu_head = false;  // DistilBERT's; else tanh
};

Result<int> integer(const ModelFile& file, const char* key, int least, int most) {
  const auto value = file.integer(key);
  if (!value) return fail(Code::LoadFailed, "{}: '{}' is missing", file.path, key);
  if (*value < least || *value > most) return fail(Code::LoadFailed, "{}: '{}' is {}, must be {} to {}", file.path, key, *value, least, most);
  return static_cast<int>(*value);
}

int64_t rows_of(const ModelFile& file, const char* tensor) {
  const auto it = file.tensors.find(tensor);
  return it == file.tensors.end() || it->second.rank != 2 ? 0 : it->second.shape[0];
}

Result<Config> read_config(const ModelFile& file) {
  Config c;
  VERGE_ASSIGN(layers, integer(file, "block_count", 1, limits::kLayers));
  VERGE_ASSIGN(heads, integer(file, "attention.head_count", 1, limits::kHeads));
  VERGE_ASSIGN(dim, integer(file, "embedding_length", 1, limits::kModelWidth));
  VERGE_ASSIGN(ff, integer(file, "feed_forward_length", 1, limits::kModelWidth));
  VERGE_ASSIGN(context, integer(file, "context_length", 1, limits::kContextTokens));
  if (dim % heads != 0 || dim / heads > limits::kHeadDim) return fail(Code::LoadFailed, "{}: {} heads do not divide a width of {}", file.path, heads, dim);
  c.layers = layers, c.heads = heads, c.dim = dim, c.ff = ff, c.head_dim = dim / heads;
  // GGUF files state no more than their tables hold.
  c.context_tokens = static_cast<int>(std::min<int64_t>(context, std::max<int64_t>(1, rows_of(file, "position_embd.weight"))));
  c.vocabulary = file.integer("vocab_size").value_or(rows_of(file, "token_embd.weight"));
  c.types = file.integer("token_type_count").value_or(rows_of(file, "token_types.weight"));
  c.norm_eps = static_cast<float>(file.number("attention.layer_norm_epsilon").value_or(1e-12));
  const std::string activation = file.text("activation").value_or("gelu");
  c.activation = activation == "relu" ? Activation::Relu : activation == "gelu_tanh" ? Activation::GeluTanh : Activation::GeluErf;
  c.classes = static_cast<int>(file.integer("classifier.classes").value_or(0));
  c.relu_head = file.text("classifier.activation").value_or("tanh") == "relu";
  return c;
}

// --- weights

struct Norm {
  std::vector<float> weight, bias;
};
struct Dense {
  std::unique_ptr<Matrix> weight;
  std::vector<float> bias;
};
struct Layer {
  Dense q, k, v, o, up, down;
  Norm attention_norm, output_norm;
};
struct Weights {
  TensorView tokens, positions, types;
  Norm embedding_norm;
  std::vector<Layer> layers;
  Dense head, classes;  // head: null where the classifier has none
};

Result<void> read_norm(WeightReader& reader, const std::string& name, int64_t dim, Norm* norm) {
  VERGE_TRY(reader.vector(name + ".weight", dim, Need::Required, &norm->weight));
  return reader.vector(name + ".bias", dim, Need::Required, &norm->bias);
}

Result<void> read_dense(WeightReader& reader, const std::string& name, int64_t out, int64_t in, Need need, Dense* dense) {
  VERGE_TRY(reader.matrix(name + ".weight", out, in, need, &dense->weight));
  return reader.vector(name + ".bias", out, Need::Optional, &dense->bias);
}

Result<void> read_layer(WeightReader& reader, const Config& c, int index, Layer* layer) {
  struct Row {
    const char* name;
    Dense* to;
    int64_t out, in;
  };
  const Row rows[] = {
      {"attn_q", &layer->q, c.dim, c.dim},      {"attn_k", &layer->k, c.dim, c.dim},   {"attn_v", &layer->v, c.dim, c.dim},
      {"attn_output", &layer->o, c.dim, c.dim}, {"ffn_up", &layer->up, c.ff, c.dim}, {"ffn_down", &layer->down, c.dim, c.ff},
  };
  const std::string prefix = fmt::format("blk.{}.", index);
  for (const Row& row : rows) VERGE_TRY(read_dense(reader, prefix + row.name, row.out, row.in, Need::Required, row.to));
  VERGE_TRY(read_norm(reader, prefix + "attn_output_norm", c.dim, &layer->attention_norm));
  return read_norm(reader, prefix + "layer_output_norm", c.dim, &layer->output_norm);
}

Result<void> read_weights(WeightReader& reader, const ModelFile& file, const Config& c, Weights* w) {
  VERGE_TRY(reader.table("token_embd.weight", c.vocabulary, c.dim, &w->tokens));
  VERGE_TRY(reader.table("position_embd.weight", rows_of(file, "position_embd.weight"), c.dim, &w->positions));
  if (c.types > 0) VERGE_TRY(reader.table("token_types.weight", c.types, c.dim, &w->types));
  VERGE_TRY(read_norm(reader, "token_embd_norm", c.dim, &w->embedding_norm));
  w->layers.resize(static_cast<size_t>(c.layers));
  for (int i = 0; i < c.layers; ++i) VERGE_TRY(read_layer(reader, c, i, &w->layers[static_cast<size_t>(i)]));
  if (c.classes > 0) {
    VERGE_TRY(read_dense(reader, "cls", c.dim, c.dim, Need::Optional, &w->head));
    VERGE_TRY(read_dense(reader, "cls.output", c.classes, c.dim, Need::Required, &w->classes));
  }
  return reader.finish();
}

const float* data_or_null(const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); }

// --- model

// Rows of a layer's dense part that run together: their activations stay in the second-level cache.
constexpr int kRows = 128;

class Bert final : public Encoder {
 public:
  Bert(std::shared_ptr<ModelFile> file, const Config& config, Backend& backend, Weights weights, EncoderInfo info)
      : file_(std::move(file)), c_(config), backend_(backend), w_(std::move(weights)), info_(std::move(info)) {}

  const EncoderInfo& info() const override { return info_; }

  void encode(std::span<const EncoderText> texts, float* hidden) override {
    begin(texts);
    embed(hidden);
    for (const Layer& layer : w_.layers) {
      attention(layer, hidden);
      dense(layer, hidden);
    }
  }

  // pooler and classifier of the first token: tanh (BERT, RoBERTa) or ReLU (DistilBERT) between.
  void classify(std::span<const EncoderText> texts, const float* hidden, float* scores) override {
    assert(c_.classes > 0);
    std::vector<float> first, pooled;
    size_t row = 0;
    for (const EncoderText& text : texts) {
      first.insert(first.end(), hidden + row * width(), hidden + (row + 1) * width());
      row += text.tokens.size();
    }
    if (w_.head.weight) {
      pooled.resize(first.size());
      linear(w_.head, first.data(), static_cast<int>(texts.size()), pooled.data(), false);
      if (c_.relu_head) backend_.activate(pooled.data(), static_cast<int64_t>(pooled.size()), Activation::Relu);
      else std::ranges::transform(pooled, pooled.begin(), [](float x) { return std::tanh(x); });
      first.swap(pooled);
    }
    linear(w_.classes, first.data(), static_cast<int>(texts.size()), scores, false);
  }

 private:
  int n() const { return static_cast<int>(tokens_.size()); }
  size_t width() const { return static_cast<size_t>(c_.dim); }
  LayerNorm norm(const Norm& norm) const { return {norm.weight.data(), norm.bias.data(), c_.norm_eps}; }

  void linear(const Dense& dense, const float* x, int rows, float* y, bool accumulate) {
    const LinearOutput out[] = {{dense.weight.get(), data_or_null(dense.bias), y, accumulate}};
    backend_.linear(x, rows, RmsNorm{}, out);
  }

  // Rows of the call: tokens, positions, segments, where each text starts.
  void begin(std::span<const EncoderText> texts) {
    tokens_.clear();
    positions_.clear();
    segments_.clear();
    starts_.assign(1, 0);
    for (const EncoderText& text : texts) {
      const int rows = static_cast<int>(text.tokens.size());
      assert(rows >= 1 && rows <= c_.context_tokens);
      tokens_.insert(tokens_.end(), text.tokens.begin(), text.tokens.end());
      for (int i = 0; i < rows; ++i) {
        positions_.push_back(i);
        segments_.push_back(text.first_segment > 0 && i >= text.first_segment && c_.types > 1 ? 1 : 0);
      }
      starts_.push_back(n());
    }
    const size_t rows = tokens_.size() * width();
    for (std::vector<float>* buffer : {&y_, &q_, &k_, &v_})
      if (buffer->size() < rows) buffer->resize(rows);
    ff_.resize(static_cast<size_t>(kRows * c_.ff));
  }

  void embed(float* x) {
    backend_.embed(w_.tokens, tokens_, 1, x);
    if (c_.types > 0) {
      backend_.embed(w_.types, segments_, 1, y_.data());
      backend_.add_norm(x, y_.data(), n(), c_.dim, RmsNorm{});
    }
    backend_.embed(w_.positions, positions_, 1, y_.data());
    backend_.add_norm(x, y_.data(), n(), c_.dim, RmsNorm{});
    backend_.layer_norm(x, n(), c_.dim, norm(w_.embedding_norm), x);
  }

  // y_ = attention of x, before its output projection.
  void attention(const Layer& layer, const float* x) {
    for (int row = 0; row < n(); row += kRows) {
      const size_t at = static_cast<size_t>(row) * width();
      const LinearOutput qkv[] = {{layer.q.weight.get(), data_or_null(layer.q.bias), q_.data() + at, false},
                                  {layer.k.weight.get(), data_or_null(layer.k.bias), k_.data() + at, false},
                                  {layer.v.weight.get(), data_or_null(layer.v.bias), v_.data() + at, false}};
      backend_.linear(x + at, std::min(kRows, n() - row), RmsNorm{}, qkv);
    }
    FullAttentionArgs a;
    a.heads = c_.heads;
    a.head_dim = c_.head_dim;
    a.q = q_.data();
    a.k = k_.data();
    a.v = v_.data();
    a.out = y_.data();
    a.scale = 1.0f / std::sqrt(static_cast<float>(c_.head_dim));
    a.starts = starts_;
    backend_.full_attention(a);
  }

  // x = norm(x + W·y), then x = norm(x + down(act(up(x)))).
  void dense(const Layer& layer, float* x) {
    for (int row = 0; row < n(); row += kRows) {
      const int rows = std::min(kRows, n() - row);
      float* at = x + static_cast<size_t>(row) * width();
      linear(layer.o, y_.data() + static_cast<size_t>(row) * width(), rows, at, true);
      backend_.layer_norm(at, rows, c_.dim, norm(layer.attention_norm), at);
      linear(layer.up, at, rows, ff_.data(), false);
      backend_.activate(ff_.data(), rows * c_.ff, c_.activation);
      linear(layer.down, ff_.data(), rows, at, true);
      backend_.layer_norm(at, rows, c_.dim, norm(layer.output_norm), at);
    }
  }

  const std::shared_ptr<ModelFile> file_;  // holds the embeddings' bytes, in memory
  const Config c_;
  Backend& backend_;
  const Weights w_;
  const EncoderInfo info_;
  std::vector<int32_t> tokens_, positions_, segments_, starts_;
  std::vector<float> y_, q_, k_, v_, ff_;
};

}  // namespace

bool is_bert(const ModelFile& file) {
  for (const char* known : {"bert", "roberta", "xlm-roberta", "camembert", "distilbert"})
    if (file.architecture == known) return true;
  return false;
}

Result<std::unique_ptr<Encoder>> load_bert(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options) {
  VERGE_ASSIGN(c, read_config(*file));
  WeightReader reader(*file, &backend, backend, options.precision, &options);
  Weights weights;
  VERGE_TRY(read_weights(reader, *file, c, &weights));
  VERGE_TRY(close_files(*file, {&weights.tokens, &weights.positions, &weights.types}));
  EncoderInfo info;
  info.architecture = file->architecture;
  info.layers = c.layers;
  info.width = c.dim;
  info.vocabulary = c.vocabulary;
  info.context_tokens = c.context_tokens;
  info.classes = c.classes;
  info.parameters = reader.parameters();
  info.weight_bytes = reader.bytes();
  return std::unique_ptr<Encoder>(std::make_unique<Bert>(std::move(file), c, backend, std::move(weights), std::move(info)));
}

Result<ModelNeed> bert_need(const ModelFile& file, const Backend& backend, Precision precision) {
  VERGE_ASSIGN(c, read_config(file));
  WeightReader reader(file, nullptr, backend, precision, nullptr);
  Weights none;
  VERGE_TRY(read_weights(reader, file, c, &none));
  ModelNeed need;
  need.weights = reader.bytes();
  need.context_tokens = c.context_tokens;
  return need;
}

}  // namespace verge::engine
