// A decoder read as an encoder, as embedding models made of one are (Qwen3-Embedding, EmbeddingGemma, E5-Mistral): its
// rows after the last norm, without the output matrix. A text is there as a whole, so there is no cache: attention packs
// texts behind each other as BERT's does, causal unless the configuration says otherwise.
#include <algorithm>
#include <cassert>

#include "engine/encoder.h"
#include "engine/formats/close_files.h"
#include "engine/models/decoder/block.h"
#include "engine/models/decoder/family.h"

namespace verge::engine {
namespace {

// Rows of a layer's dense part that run together: their activations stay in the second-level cache.
constexpr int kRows = 128;

class DecoderEncoder final : public Encoder {
 public:
  DecoderEncoder(const std::shared_ptr<ModelFile>& file, const DecoderConfig& config, Backend& backend, DecoderWeights weights, EncoderInfo info)
      : file_(file), c_(config), backend_(backend), w_(std::move(weights)), info_(std::move(info)), angles_(c_, w_), block_(c_, backend) {}

  const EncoderInfo& info() const override { return info_; }

  void encode(std::span<const EncoderText> texts, float* hidden) override {
    begin(texts);
    backend_.embed(w_.embedding, tokens_, c_.embedding_scale, x_.data());
    DecoderRows rows{n(), kRows, x_.data(), q_.data(), k_.data(), v_.data(), heads_.data(), y_.data(), ff_.data()};
    for (int i = 0; i < c_.layers; ++i) {
      const DecoderLayer& layer = w_.layers[static_cast<size_t>(i)];
      block_.run(layer, rows, [&] { attention(layer, i); });
    }
    std::fill_n(hidden, static_cast<size_t>(n() * c_.dim), 0.0f);
    backend_.add_norm(hidden, x_.data(), n(), c_.dim, block_.norm(w_.output_norm));
  }

  void classify(std::span<const EncoderText>, const float*, float*) override { assert(false && "no head"); }

 private:
  int n() const { return static_cast<int>(tokens_.size()); }

  // Rows of the call: tokens, angles of their positions, where each text starts.
  void begin(std::span<const EncoderText> texts) {
    tokens_.clear();
    starts_.assign(1, 0);
    for (const EncoderText& text : texts) {
      assert(!text.tokens.empty() && static_cast<int>(text.tokens.size()) <= c_.context_tokens);
      tokens_.insert(tokens_.end(), text.tokens.begin(), text.tokens.end());
      starts_.push_back(n());
    }
    const auto grow = [](std::vector<float>& buffer, int rows, int64_t width) {
      const size_t floats = static_cast<size_t>(rows) * static_cast<size_t>(width);
      if (buffer.size() < floats) buffer.resize(floats);
    };
    const int64_t q = int64_t{c_.heads} * c_.head_dim, kv = int64_t{c_.kv_heads} * c_.head_dim;
    grow(x_, n(), c_.dim), grow(y_, kRows, c_.dim), grow(ff_, kRows, c_.ff);
    grow(q_, n(), q), grow(heads_, n(), q), grow(k_, n(), kv), grow(v_, n(), kv);
    angles_.begin(n());
    for (size_t text = 0; text + 1 < starts_.size(); ++text) {
      const int length = starts_[text + 1] - starts_[text];
      for (int position = 0; position < length; ++position) angles_.add(position, length);
    }
  }

  // heads_ = attention of q_, k_, v_.
  void attention(const DecoderLayer& layer, int index) {
    const bool windowed = c_.windowed(index);
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
    a.q_norm = data_or_null(layer.q_norm);
    a.k_norm = data_or_null(layer.k_norm);
    a.norm_eps = c_.qk_norm_eps;
    a.rope = angles_.of(windowed);
    backend_.full_attention(a);
  }

  const std::shared_ptr<ModelFile> file_;  // holds the embedding's bytes, in memory
  const DecoderConfig c_;
  Backend& backend_;
  const DecoderWeights w_;
  const EncoderInfo info_;
  DecoderAngles angles_;
  const DecoderBlock block_;
  std::vector<int32_t> tokens_, starts_;
  std::vector<float> x_, y_, q_, k_, v_, heads_, ff_;
};

}  // namespace

Result<std::unique_ptr<Encoder>> load_decoder_encoder(std::shared_ptr<ModelFile> file, const DecoderConfig& c, Backend& backend, const LoadOptions& options) {
  WeightReader reader(*file, &backend, backend, options.precision, &options);
  DecoderWeights weights;
  VERGE_TRY(read_decoder_weights(reader, *file, c, &weights));
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
  return std::unique_ptr<Encoder>(std::make_unique<DecoderEncoder>(file, c, backend, std::move(weights), std::move(info)));
}

}  // namespace verge::engine
