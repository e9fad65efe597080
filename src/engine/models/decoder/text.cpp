// A decoder that writes text: token ids in, logits out.
//
//   x = embedding;  x = each layer(x);  logits = Woutput·rms_norm(x)
//
// A step runs the rows of all its sequences through each layer together, so a weight is read once a step. The
// activations live in buffers for limits::kBatchTokens rows, made once at load: nothing here grows with the
// context; keys and values live in the caller's pages.
#include <algorithm>
#include <cassert>

#include "engine/formats/close_files.h"
#include "engine/models/decoder/block.h"
#include "engine/models/decoder/family.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

// Floats of the activations of a full step, buffer by buffer.
struct Buffers {
  std::vector<float> x, y, q, k, v, heads, ff;
  explicit Buffers(const DecoderConfig& c) {
    const auto rows = [](std::vector<float>& buffer, int64_t width) { buffer.resize(static_cast<size_t>(limits::kBatchTokens * width)); };
    rows(x, c.dim), rows(y, c.dim);
    rows(q, int64_t{c.heads} * c.head_dim), rows(heads, int64_t{c.heads} * c.head_dim);
    rows(k, int64_t{c.kv_heads} * c.head_dim), rows(v, int64_t{c.kv_heads} * c.head_dim);
    rows(ff, c.ff);
  }
  static size_t bytes(const DecoderConfig& c) {
    const int64_t widths = 2 * c.dim + 2 * int64_t{c.heads + c.kv_heads} * c.head_dim + c.ff + DecoderAngles::floats_per_row(c);
    return static_cast<size_t>(widths) * limits::kBatchTokens * sizeof(float);
  }
};

class Decoder final : public LanguageModel {
 public:
  Decoder(const std::shared_ptr<ModelFile>& file, const DecoderConfig& config, Backend& backend, DecoderWeights weights, ModelInfo info)
      : file_(file), c_(config), backend_(backend), w_(std::move(weights)), info_(std::move(info)), b_(config), angles_(c_, w_),
        block_(c_, backend) {
    angles_.begin(limits::kBatchTokens);
  }

  const ModelInfo& info() const override { return info_; }
  Backend& backend() override { return backend_; }
  Result<std::unique_ptr<KvCache>> make_kv_cache(int pages, KvType type) override {
    return backend_.make_kv_cache(c_.layers, c_.kv_heads, c_.head_dim, pages, type);
  }

  void forward(std::span<const StepSequence> step, KvCache& cache, float* logits) override {
    begin(step);
    backend_.embed(w_.embedding, tokens_, c_.embedding_scale, b_.x.data());
    DecoderRows rows = rows_of_step();
    for (int i = 0; i < c_.layers; ++i) {
      block_.run(w_.layers[static_cast<size_t>(i)], rows, [&] {
        attention(w_.layers[static_cast<size_t>(i)], i, cache);
        if (i == c_.layers - 1) keep_wanted_rows(rows);
      });
    }
    output(rows.count, logits);
  }

 private:
  int n() const { return static_cast<int>(tokens_.size()); }

  // Rows, positions and rotary angles of the step.
  void begin(std::span<const StepSequence> step) {
    tokens_.clear();
    sequences_.clear();
    wanted_.clear();
    angles_.begin(0);
    for (const StepSequence& s : step) {
      const int rows = static_cast<int>(s.tokens.size()), first = n();
      assert(rows >= 1 && first + rows <= limits::kBatchTokens && s.logits >= 0 && s.logits <= rows);
      sequences_.push_back({first, rows, s.position, s.pages});
      tokens_.insert(tokens_.end(), s.tokens.begin(), s.tokens.end());
      const int length = std::max(s.length, s.position + rows);
      for (int i = 0; i < rows; ++i) angles_.add(s.position + i, length);
      for (int i = rows - s.logits; i < rows; ++i) wanted_.push_back(first + i);
    }
  }

  DecoderRows rows_of_step() {
    return {n(), std::max(n(), 1), b_.x.data(), b_.q.data(), b_.k.data(), b_.v.data(), b_.heads.data(), b_.y.data(), b_.ff.data()};
  }

  void attention(const DecoderLayer& layer, int index, KvCache& cache) {
    const bool windowed = c_.windowed(index);
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
    a.norm_eps = c_.qk_norm_eps;
    a.rope = angles_.of(windowed);
    a.scale = c_.attention_scale;
    a.softcap = c_.attention_softcap;
    a.window = windowed ? c_.window : 0;
    a.layer = index;
    a.cache = &cache;
    a.sequences = sequences_;
    backend_.attention(a);
  }

  // After the last attention only rows that want logits matter: of a prompt's chunk, one or none.
  void keep_wanted_rows(DecoderRows& rows) {
    const int wanted = static_cast<int>(wanted_.size());
    if (wanted != n()) {
      backend_.gather_rows(b_.x.data(), wanted_, c_.dim, b_.y.data());
      backend_.gather_rows(b_.heads.data(), wanted_, int64_t{c_.heads} * c_.head_dim, b_.q.data());
      std::swap(b_.x, b_.y);
      std::swap(b_.heads, b_.q);
    }
    rows = rows_of_step();
    rows.count = wanted;
  }

  void output(int rows, float* logits) {
    if (rows == 0) return;
    const LinearOutput out[] = {{w_.output.get(), nullptr, logits, false}};
    backend_.linear(b_.x.data(), rows, block_.norm(w_.output_norm), out);
    if (c_.logit_softcap > 0) backend_.softcap(logits, rows * c_.vocabulary, c_.logit_softcap);
  }

  const std::shared_ptr<ModelFile> file_;  // holds the embedding's bytes, in memory
  const DecoderConfig c_;
  Backend& backend_;
  const DecoderWeights w_;
  const ModelInfo info_;
  Buffers b_;
  DecoderAngles angles_;
  const DecoderBlock block_;
  // The step's rows: tokens, the sequences they belong to, the rows that want logits.
  std::vector<int32_t> tokens_, wanted_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace

Result<std::unique_ptr<LanguageModel>> load_decoder(std::shared_ptr<ModelFile> file, const DecoderConfig& c, Backend& backend, const LoadOptions& options) {
  if (!c.causal) return fail(Code::LoadFailed, "{}: a model that reads a text in both directions cannot write one; it is for embeddings", file->path);
  WeightReader reader(*file, &backend, backend, options.precision, &options);
  DecoderWeights weights;
  VERGE_TRY(read_decoder_weights(reader, *file, c, &weights));
  VERGE_TRY(read_decoder_output(reader, *file, c, &weights));
  VERGE_TRY(close_files(*file, {&weights.embedding}));
  // Granite's factor of the logits, once here instead of in each step.
  for (float& weight : weights.output_norm) weight *= c.logit_scale;
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
  if (c.rope.scaling == RopeConfig::Scaling::Long) info.long_text_from = static_cast<int>(c.rope.original_context) + 1;
  return std::unique_ptr<LanguageModel>(std::make_unique<Decoder>(file, c, backend, std::move(weights), std::move(info)));
}

Result<ModelNeed> decoder_need(const ModelFile& file, const DecoderConfig& c, const Backend& backend, Precision precision) {
  WeightReader reader(file, nullptr, backend, precision, nullptr);
  DecoderWeights none;
  VERGE_TRY(read_decoder_weights(reader, file, c, &none));
  VERGE_TRY(read_decoder_output(reader, file, c, &none));
  ModelNeed need;
  need.weights = reader.bytes();
  need.kv_per_token = backend.kv_page_bytes(c.layers, c.kv_heads, c.head_dim, KvType::F16) / limits::kPageTokens;
  need.scratch = Buffers::bytes(c) + static_cast<size_t>(c.vocabulary) * limits::kSequences * sizeof(float);
  need.context_tokens = c.context_tokens;
  return need;
}

}  // namespace verge::engine
