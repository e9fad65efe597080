// Whisper, as openai/whisper's model.py has it:
//
//   encoder  x = gelu(conv1(mel)); x = gelu(conv2(x), stride 2) + positions
//            each layer:  x += Wo·attention(layer_norm(x)), without a mask;  x += W2·gelu(W1·layer_norm(x))
//            layer_norm
//   decoder  x = embedding + positions
//            each layer:  x += self-attention, causal;  x += attention to the encoder's output;  x += MLP
//            logits = embedding·layer_norm(x)
//
// Keys have no bias. The encoder runs over windows of up to 30 s that lie behind each other, the decoder over rows of
// many sequences, each with the memories of its own window.
#include "engine/models/whisper/whisper.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "engine/formats/close_files.h"
#include "engine/models/parts/weights.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr float kNormEps = 1e-5f;
constexpr int kKernel = 3;  // of both convolutions

struct Norm {
  std::vector<float> weight, bias;
};
struct Linear {
  std::unique_ptr<Matrix> weight;
  std::vector<float> bias;  // empty: none
};
struct Attention {
  Norm norm;
  Linear q, k, v, out;
};
struct Layer {
  Attention self, cross;  // cross: the decoder's only
  Norm ff_norm;
  Linear ff1, ff2;
};
struct Weights {
  Linear conv1, conv2;
  std::vector<float> audio_positions;  // {audio_positions, width}
  Norm encoder_norm, decoder_norm;
  std::vector<Layer> encoder, decoder;
  TensorView embedding, text_positions;
  std::unique_ptr<Matrix> output;
};

Result<int> bounded(const ModelFile& file, const char* key, int64_t high) {
  const auto value = file.integer(key);
  if (!value || *value < 1 || *value > high) return fail(Code::LoadFailed, "{}: '{}' is missing or not within 1 to {}", file.path, key, high);
  return static_cast<int>(*value);
}

Result<const TensorView*> find_tensor(const ModelFile& file, const char* name, int rank) {
  const auto it = file.tensors.find(name);
  if (it == file.tensors.end() || it->second.rank != rank) return fail(Code::LoadFailed, "{}: tensor '{}' is missing or not of {} dimensions", file.path, name, rank);
  return &it->second;
}

Result<WhisperInfo> read_info(const ModelFile& file) {
  WhisperInfo info;
  VERGE_ASSIGN(encoder_layers, bounded(file, "encoder_layers", limits::kLayers));
  VERGE_ASSIGN(decoder_layers, bounded(file, "decoder_layers", limits::kLayers));
  VERGE_ASSIGN(encoder_heads, bounded(file, "encoder_attention_heads", limits::kHeads));
  VERGE_ASSIGN(decoder_heads, bounded(file, "decoder_attention_heads", limits::kHeads));
  VERGE_ASSIGN(conv1, find_tensor(file, "model.encoder.conv1.weight", 3));
  VERGE_ASSIGN(audio, find_tensor(file, "model.encoder.embed_positions.weight", 2));
  VERGE_ASSIGN(text, find_tensor(file, "model.decoder.embed_positions.weight", 2));
  VERGE_ASSIGN(tokens, find_tensor(file, "model.decoder.embed_tokens.weight", 2));
  VERGE_ASSIGN(encoder_ff, find_tensor(file, "model.encoder.layers.0.fc1.weight", 2));
  VERGE_ASSIGN(decoder_ff, find_tensor(file, "model.decoder.layers.0.fc1.weight", 2));
  const auto in_range = [](int64_t value, int64_t high) { return value >= 1 && value <= high; };
  if (!in_range(conv1->shape[1], limits::kMels) || !in_range(audio->shape[0], limits::kAudioPositions) || !in_range(text->shape[0], limits::kTextPositions) ||
      !in_range(tokens->shape[0], static_cast<int64_t>(limits::kVocabulary)) || !in_range(tokens->shape[1], limits::kModelWidth) ||
      !in_range(encoder_ff->shape[0], limits::kModelWidth) || !in_range(decoder_ff->shape[0], limits::kModelWidth)) {
    return fail(Code::LoadFailed, "{}: sizes past what Whisper models have: conv1 {}, positions {} and {}, tokens {}", file.path, to_string(*conv1),
                to_string(*audio), to_string(*text), to_string(*tokens));
  }
  info.encoder_layers = encoder_layers;
  info.decoder_layers = decoder_layers;
  info.encoder_heads = encoder_heads;
  info.decoder_heads = decoder_heads;
  info.mels = static_cast<int>(conv1->shape[1]);
  info.audio_positions = static_cast<int>(audio->shape[0]);
  info.text_positions = static_cast<int>(text->shape[0]);
  info.width = tokens->shape[1];
  info.vocabulary = tokens->shape[0];
  info.encoder_ff = encoder_ff->shape[0];
  info.decoder_ff = decoder_ff->shape[0];
  for (int heads : {encoder_heads, decoder_heads}) {
    const int64_t head = info.width / heads;
    if (info.width % heads != 0 || head % 16 != 0 || head > limits::kHeadDim) {
      return fail(Code::LoadFailed, "{}: width {} cut into {} heads is not supported: heads need a multiple of 16 channels, at most {}", file.path, info.width,
                  heads, limits::kHeadDim);
    }
  }
  return info;
}

class Loader {
 public:
  Loader(WeightReader& reader, const WhisperInfo& info) : reader_(reader), info_(info) {}

  Result<> read(Weights* w) {
    const int64_t d = info_.width;
    VERGE_TRY(linear("model.encoder.conv1", d, int64_t{info_.mels} * kKernel, true, &w->conv1));
    VERGE_TRY(linear("model.encoder.conv2", d, d * kKernel, true, &w->conv2));
    VERGE_TRY(reader_.values("model.encoder.embed_positions.weight", info_.audio_positions, d, &w->audio_positions));
    VERGE_TRY(reader_.table("model.decoder.embed_positions.weight", info_.text_positions, d, &w->text_positions));
    VERGE_TRY(reader_.table("model.decoder.embed_tokens.weight", info_.vocabulary, d, &w->embedding));
    VERGE_TRY(norm("model.encoder.layer_norm", &w->encoder_norm));
    VERGE_TRY(norm("model.decoder.layer_norm", &w->decoder_norm));
    VERGE_TRY(layers("model.encoder", info_.encoder_layers, info_.encoder_ff, false, &w->encoder));
    VERGE_TRY(layers("model.decoder", info_.decoder_layers, info_.decoder_ff, true, &w->decoder));
    VERGE_TRY(reader_.matrix("model.decoder.embed_tokens.weight", info_.vocabulary, d, Need::Required, &w->output));
    return reader_.finish();
  }

 private:
  Result<> linear(const std::string& name, int64_t out, int64_t in, bool bias, Linear* to) {
    VERGE_TRY(reader_.matrix(name + ".weight", out, in, Need::Required, &to->weight));
    if (bias) VERGE_TRY(reader_.vector(name + ".bias", out, Need::Required, &to->bias));
    return {};
  }
  Result<> norm(const std::string& name, Norm* to) {
    VERGE_TRY(reader_.vector(name + ".weight", info_.width, Need::Required, &to->weight));
    return reader_.vector(name + ".bias", info_.width, Need::Required, &to->bias);
  }
  Result<> attention(const std::string& layer, const std::string& kind, Attention* to) {
    const int64_t d = info_.width;
    VERGE_TRY(norm(layer + kind + "_layer_norm", &to->norm));
    VERGE_TRY(linear(layer + kind + ".q_proj", d, d, true, &to->q));
    VERGE_TRY(linear(layer + kind + ".k_proj", d, d, false, &to->k));
    VERGE_TRY(linear(layer + kind + ".v_proj", d, d, true, &to->v));
    return linear(layer + kind + ".out_proj", d, d, true, &to->out);
  }
  Result<> layers(const std::string& part, int count, int64_t ff, bool cross, std::vector<Layer>* to) {
    to->resize(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      const std::string prefix = fmt::format("{}.layers.{}.", part, i);
      Layer& layer = (*to)[static_cast<size_t>(i)];
      VERGE_TRY(attention(prefix, "self_attn", &layer.self));
      if (cross) VERGE_TRY(attention(prefix, "encoder_attn", &layer.cross));
      VERGE_TRY(norm(prefix + "final_layer_norm", &layer.ff_norm));
      VERGE_TRY(linear(prefix + "fc1", ff, info_.width, true, &layer.ff1));
      VERGE_TRY(linear(prefix + "fc2", info_.width, ff, true, &layer.ff2));
    }
    return {};
  }

  WeightReader& reader_;
  const WhisperInfo& info_;
};

const float* data_or_null(const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); }
LinearOutput output_of(const Linear& linear, float* y, bool accumulate = false) { return {linear.weight.get(), data_or_null(linear.bias), y, accumulate}; }

// Of one window: the encoder's activations; what the decoder sees of it.
int64_t activation_bytes(const WhisperInfo& info) {
  return info.audio_positions * (5 * info.width + std::max(info.encoder_ff, info.width * kKernel) + 2 * info.width) * 4;
}
int64_t memory_bytes(const WhisperInfo& info) { return int64_t{info.decoder_layers} * info.audio_positions * info.width * 4; }

// Activations of up to so many rows; grows to the largest call.
struct Buffers {
  std::vector<float> x, y, q, k, v, ff;
  void reserve(int64_t rows, int64_t width, int64_t ff_width) {
    const auto at_least = [](std::vector<float>& buffer, int64_t count) {
      if (buffer.size() < static_cast<size_t>(count)) buffer.resize(static_cast<size_t>(count));
    };
    for (auto* buffer : {&x, &y, &q, &k, &v}) at_least(*buffer, rows * width);
    at_least(ff, rows * ff_width);
  }
};

class WhisperModel final : public Whisper {
 public:
  WhisperModel(std::shared_ptr<ModelFile> file, const WhisperInfo& info, Backend& backend, Weights weights)
      : file_(std::move(file)), info_(info), backend_(backend), w_(std::move(weights)) {}

  const WhisperInfo& info() const override { return info_; }
  Backend& backend() override { return backend_; }
  Result<std::unique_ptr<KvCache>> make_kv_cache(int pages, KvType type) override {
    return backend_.make_kv_cache(info_.decoder_layers, info_.decoder_heads, static_cast<int>(info_.width / info_.decoder_heads), pages, type);
  }
  std::span<const float> encoder_output() const override { return {encoder_.y.data(), static_cast<size_t>(encoded_rows_ * info_.width)}; }

  Result<> encode(std::span<const EncoderWindow> windows) override {
    int rows = 0;
    for (const EncoderWindow& window : windows) {
      assert(window.frames >= 2 && window.frames % 2 == 0 && window.frames / 2 <= info_.audio_positions);
      VERGE_TRY(make_memories(window.to));
      rows += window.frames / 2;
    }
    Buffers& b = encoder_;
    b.reserve(rows, info_.width, info_.encoder_ff);
    convolve(windows);
    const int head = static_cast<int>(info_.width / info_.encoder_heads);
    for (const Layer& layer : w_.encoder) {
      normed(b, rows, layer.self.norm);
      const LinearOutput qkv[] = {output_of(layer.self.q, b.q.data()), output_of(layer.self.k, b.k.data()), output_of(layer.self.v, b.v.data())};
      backend_.linear(b.y.data(), rows, RmsNorm{}, qkv);
      each(windows, [&](const EncoderWindow& window, int64_t at) {
        backend_.remember(b.k.data() + at, b.v.data() + at, window.frames / 2, *own_);
        backend_.attend(*own_, b.q.data() + at, window.frames / 2, scale(head), b.q.data() + at);
      });
      add_to_x(b, rows, layer.self.out, b.q.data());
      mlp(b, rows, layer);
    }
    normed(b, rows, w_.encoder_norm);
    encoded_rows_ = rows;
    for (size_t i = 0; i < w_.decoder.size(); ++i) {
      const Attention& cross = w_.decoder[i].cross;
      const LinearOutput kv[] = {output_of(cross.k, b.k.data()), output_of(cross.v, b.v.data())};
      backend_.linear(b.y.data(), rows, RmsNorm{}, kv);
      each(windows, [&](const EncoderWindow& window, int64_t at) { backend_.remember(b.k.data() + at, b.v.data() + at, window.frames / 2, *window.to->layers[i]); });
    }
    return {};
  }

  void decode(std::span<const DecodeRows> step, KvCache& cache, float* logits) override { run(step, cache, {}, logits, nullptr); }

  void decode_with_scores(const DecodeRows& rows, KvCache& cache, std::span<const AttentionHead> heads, float* logits, std::vector<float>* scores) override {
    const auto frames = static_cast<size_t>(rows.audio->layers.front()->rows);
    scores->assign(heads.size() * rows.tokens.size() * frames, 0);
    run({&rows, 1}, cache, heads, logits, scores);
  }

 private:
  static float scale(int head) { return 1 / std::sqrt(static_cast<float>(head)); }

  // f(window, where its rows begin in the batch's values).
  template <class F>
  void each(std::span<const EncoderWindow> windows, const F& f) {
    int64_t at = 0;
    for (const EncoderWindow& window : windows) {
      f(window, at);
      at += window.frames / 2 * info_.width;
    }
  }

  Result<> make_memories(EncodedAudio* to) {
    const int head = static_cast<int>(info_.width / info_.decoder_heads);
    if (!own_) {
      VERGE_ASSIGN(memory, backend_.make_memory(info_.encoder_heads, static_cast<int>(info_.width / info_.encoder_heads), info_.audio_positions));
      own_ = std::move(memory);
    }
    while (to->layers.size() < w_.decoder.size()) {
      VERGE_ASSIGN(memory, backend_.make_memory(info_.decoder_heads, head, info_.audio_positions));
      to->layers.push_back(std::move(memory));
    }
    return {};
  }

  void normed(Buffers& b, int rows, const Norm& norm) {
    backend_.layer_norm(b.x.data(), rows, info_.width, {norm.weight.data(), norm.bias.data(), kNormEps}, b.y.data());
  }
  void add_to_x(Buffers& b, int rows, const Linear& linear, const float* in) {
    const LinearOutput out[] = {output_of(linear, b.x.data(), true)};
    backend_.linear(in, rows, RmsNorm{}, out);
  }
  void mlp(Buffers& b, int rows, const Layer& layer) {
    normed(b, rows, layer.ff_norm);
    const LinearOutput up[] = {output_of(layer.ff1, b.ff.data())};
    backend_.linear(b.y.data(), rows, RmsNorm{}, up);
    backend_.activate(b.ff.data(), rows * layer.ff1.weight->out, Activation::GeluErf);
    add_to_x(b, rows, layer.ff2, b.ff.data());
  }

  // One window after the other: what a convolution sees ends with it.
  void convolve(std::span<const EncoderWindow> windows) {
    const int64_t d = info_.width;
    each(windows, [&](const EncoderWindow& window, int64_t at) {
      const int frames = window.frames, rows = frames / 2;
      const auto unfolded = static_cast<size_t>(std::max<int64_t>(int64_t{frames} * info_.mels, rows * d) * kKernel);
      if (unfolded_.size() < unfolded) unfolded_.resize(unfolded);
      if (wide_.size() < static_cast<size_t>(frames * d)) wide_.resize(static_cast<size_t>(frames * d));
      backend_.unfold(window.mel, frames, info_.mels, kKernel, 1, unfolded_.data());
      const LinearOutput first[] = {output_of(w_.conv1, wide_.data())};
      backend_.linear(unfolded_.data(), frames, RmsNorm{}, first);
      backend_.activate(wide_.data(), frames * d, Activation::GeluErf);
      backend_.unfold(wide_.data(), frames, static_cast<int>(d), kKernel, 2, unfolded_.data());
      float* x = encoder_.x.data() + at;
      const LinearOutput second[] = {output_of(w_.conv2, x)};
      backend_.linear(unfolded_.data(), rows, RmsNorm{}, second);
      backend_.activate(x, rows * d, Activation::GeluErf);
      backend_.add_norm(x, w_.audio_positions.data(), rows, d, RmsNorm{});
    });
  }

  void run(std::span<const DecodeRows> step, KvCache& cache, std::span<const AttentionHead> heads, float* logits, std::vector<float>* scores) {
    begin(step);
    Buffers& b = decoder_;
    const int n = static_cast<int>(tokens_.size());
    b.reserve(n, info_.width, info_.decoder_ff);
    backend_.embed(w_.embedding, tokens_, 1, b.x.data());
    backend_.embed(w_.text_positions, positions_, 1, b.y.data());
    backend_.add_norm(b.x.data(), b.y.data(), n, info_.width, RmsNorm{});
    for (int i = 0; i < info_.decoder_layers; ++i) {
      const Layer& layer = w_.decoder[static_cast<size_t>(i)];
      self_attention(layer.self, i, n, cache);
      cross_attention(layer.cross, i, n, step, heads, scores);
      mlp(b, n, layer);
    }
    if (wanted_.empty()) return;
    backend_.gather_rows(b.x.data(), wanted_, info_.width, b.q.data());
    std::swap(b.x, b.q);
    normed(b, static_cast<int>(wanted_.size()), w_.decoder_norm);
    const LinearOutput out[] = {{w_.output.get(), nullptr, logits, false}};
    backend_.linear(b.y.data(), static_cast<int>(wanted_.size()), RmsNorm{}, out);
  }

  void begin(std::span<const DecodeRows> step) {
    tokens_.clear();
    positions_.clear();
    wanted_.clear();
    sequences_.clear();
    for (const DecodeRows& rows : step) {
      const int first = static_cast<int>(tokens_.size()), count = static_cast<int>(rows.tokens.size());
      assert(count >= 1 && rows.position + count <= info_.text_positions);
      sequences_.push_back({first, count, rows.position, rows.pages});
      tokens_.insert(tokens_.end(), rows.tokens.begin(), rows.tokens.end());
      for (int i = 0; i < count; ++i) positions_.push_back(rows.position + i);
      for (int32_t index : rows.logits) wanted_.push_back(first + index);
    }
    assert(static_cast<int>(tokens_.size()) <= limits::kBatchTokens);
  }

  void self_attention(const Attention& w, int layer, int n, KvCache& cache) {
    Buffers& b = decoder_;
    normed(b, n, w.norm);
    const LinearOutput qkv[] = {output_of(w.q, b.q.data()), output_of(w.k, b.k.data()), output_of(w.v, b.v.data())};
    backend_.linear(b.y.data(), n, RmsNorm{}, qkv);
    AttentionArgs a;
    a.n = n;
    a.heads = a.kv_heads = info_.decoder_heads;
    a.head_dim = static_cast<int>(info_.width / info_.decoder_heads);
    a.q = b.q.data();
    a.k = b.k.data();
    a.v = b.v.data();
    a.out = b.y.data();
    a.scale = scale(a.head_dim);
    a.layer = layer;
    a.cache = &cache;
    a.sequences = sequences_;
    backend_.attention(a);
    add_to_x(b, n, w.out, b.y.data());
  }

  void cross_attention(const Attention& w, int layer, int n, std::span<const DecodeRows> step, std::span<const AttentionHead> heads, std::vector<float>* scores) {
    Buffers& b = decoder_;
    const int head = static_cast<int>(info_.width / info_.decoder_heads);
    normed(b, n, w.norm);
    const LinearOutput q[] = {output_of(w.q, b.q.data())};
    backend_.linear(b.y.data(), n, RmsNorm{}, q);
    for (size_t i = 0; i < heads.size(); ++i) {
      if (heads[i].layer != layer) continue;
      const AttentionMemory& memory = *step[0].audio->layers[static_cast<size_t>(layer)];
      backend_.attention_scores(memory, heads[i].head, b.q.data(), n, scale(head), scores->data() + i * static_cast<size_t>(n) * static_cast<size_t>(memory.rows));
    }
    // Neighbours that look at the same clip (beams) go through its keys together.
    for (size_t i = 0; i < step.size();) {
      size_t end = i + 1;
      int count = sequences_[i].rows;
      while (end < step.size() && step[end].audio == step[i].audio) count += sequences_[end++].rows;
      float* at = b.q.data() + sequences_[i].first_row * info_.width;
      backend_.attend(*step[i].audio->layers[static_cast<size_t>(layer)], at, count, scale(head), at);
      i = end;
    }
    add_to_x(b, n, w.out, b.q.data());
  }

  const std::shared_ptr<ModelFile> file_;  // holds the bytes of the tables, in memory
  const WhisperInfo info_;
  Backend& backend_;
  const Weights w_;
  Buffers encoder_, decoder_;
  std::vector<float> unfolded_, wide_;  // a convolution's input; conv1's output
  std::unique_ptr<AttentionMemory> own_;  // of the encoder's layer at work
  int64_t encoded_rows_ = 0;
  std::vector<int32_t> tokens_, positions_, wanted_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace

Result<std::unique_ptr<Whisper>> load_whisper(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options) {
  VERGE_ASSIGN(info, read_info(*file));
  WeightReader reader(*file, &backend, backend, options.precision, &options);
  Weights weights;
  VERGE_TRY(Loader(reader, info).read(&weights));
  VERGE_TRY(close_files(*file, {&weights.embedding, &weights.text_positions}));
  info.parameters = reader.parameters();
  info.weight_bytes = reader.bytes();
  return std::unique_ptr<Whisper>(std::make_unique<WhisperModel>(std::move(file), info, backend, std::move(weights)));
}

Result<ModelNeed> whisper_need(const ModelFile& file, const Backend& backend, Precision precision) {
  VERGE_ASSIGN(info, read_info(file));
  WeightReader reader(file, nullptr, backend, precision, nullptr);
  Weights none;
  VERGE_TRY(Loader(reader, info).read(&none));
  ModelNeed need;
  need.weights = reader.bytes();
  need.context_tokens = info.text_positions;
  return need;
}

SpeechRoom speech_room(const WhisperInfo& info) {
  SpeechRoom room;
  room.windows = static_cast<int>(std::clamp<int64_t>(limits::kSpeechMemoryBytes / memory_bytes(info), 1, limits::kSpeechWindows));
  room.encoder_windows = static_cast<int>(std::clamp<int64_t>(limits::kSpeechMemoryBytes / 4 / activation_bytes(info), 1, std::min(room.windows, limits::kSpeechEncoderWindows)));
  // Room for the usual search (5 hypotheses) in every window, and for the widest in one.
  room.pages = std::max(room.windows * search_pages(info, 5), search_pages(info, limits::kSpeechHypotheses));
  return room;
}

int search_pages(const WhisperInfo& info, int hypotheses) {
  constexpr int page = limits::kPageTokens;
  const int half = info.text_positions / 2;  // of a prompt, and of the longest text after it
  return half / page + hypotheses * ((page - 1 + half + page - 1) / page + 1);
}

// Whisper is no LanguageModel: load_whisper() is its door.
std::span<const Architecture> whisper_architectures() { return {}; }

}  // namespace verge::engine
