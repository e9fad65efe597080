#include "engine/models/hibari/hibari.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "engine/models/parts/weights.h"
#include "support/limits.h"
#include "support/voice_limits.h"

namespace verge::engine {
namespace {

constexpr float kNormEps = 1e-5f;
constexpr std::array<int, 6> kProsodyDilations = {1, 2, 4, 8, 1, 2};
constexpr float kPitchScale = 100, kEnergyScale = 5;  // of the prosody's curves
constexpr int kCurves = 4;                            // two, for two frames each

struct Norm {
  std::vector<float> weight, bias;
};
struct Linear {
  std::unique_ptr<Matrix> weight;
  std::vector<float> bias;
};
// A depthwise convolution over time, norm, a product, GELU, a product; added to its input.
struct Block {
  std::unique_ptr<Convolution> depthwise;
  int kernel = 0, dilation = 1;
  Norm norm;
  Linear up, down;
};
struct Layer {
  Norm norm1, norm2;
  Linear q, k, v, out, up, down;
};
struct TextEncoder {
  int64_t width = 0;
  int heads = 0, passes = 0;
  TensorView embedding;
  std::vector<Block> blocks;
  Layer layer;
  Norm norm;
};
struct Spelling {
  int64_t width = 0;
  int heads = 0, letters = 0, slots = 0;  // slots: phonemes that a letter may become
  TensorView embedding, positions;
  std::vector<Layer> layers;
  Norm norm;
  Linear head;
  int64_t classes = 0;
};
struct Weights {
  TextEncoder acoustic, prosody;
  Linear duration1, duration2, prosody_in, prosody_out;
  std::vector<Block> prosody_blocks;
  Linear decoder_in, head;
  std::vector<Block> decoder;
  Norm decoder_norm;
  Spelling spelling;
};

Result<int64_t> dimension(const ModelFile& file, const std::string& name, int at, int64_t most) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) {
    return fail(Code::LoadFailed, "{}: tensor '{}' is missing", file.path, name);
  }
  const int64_t size = found->second.shape[static_cast<size_t>(at)];
  if (size < 1 || size > most || at >= found->second.rank) {
    return fail(Code::LoadFailed, "{}: tensor '{}' is {}", file.path, name, to_string(found->second));
  }
  return size;
}

class Loader {
 public:
  Loader(const ModelFile& file, WeightReader& reader, Backend* packer, const Backend& sizes)
      : file_(file), reader_(reader), packer_(packer), sizes_(sizes) {}

  Result<> read(Weights* w) {
    VERGE_TRY(encoder("m.text", "acoustic_passes", &w->acoustic));
    VERGE_TRY(encoder("pn.text", "prosody_passes", &w->prosody));
    const int64_t p = w->prosody.width;
    VERGE_TRY(linear("pn.dur.0", p, p * 3, &w->duration1));
    VERGE_TRY(linear("pn.dur.2", 1, p, &w->duration2));
    VERGE_TRY(linear("pn.pro_in", p, p, &w->prosody_in));
    VERGE_TRY(linear("pn.pro_out", kCurves, p, &w->prosody_out));
    w->prosody_blocks.resize(kProsodyDilations.size());
    for (size_t i = 0; i < kProsodyDilations.size(); ++i) {
      VERGE_TRY(block(fmt::format("pn.pro.{}", i), p, 7, kProsodyDilations[i],
                      &w->prosody_blocks[i]));
    }
    VERGE_ASSIGN(d, dimension(file_, "m.dec_in.weight", 0, limits::kModelWidth));
    decoder_width_ = d;
    VERGE_TRY(linear("m.dec_in", d, (w->acoustic.width + 2) * 7, &w->decoder_in));
    while (file_.tensors.contains(fmt::format("m.dec.{}.dw.weight", w->decoder.size()))) {
      if (w->decoder.size() == limits::kLayers) break;
      const std::string name = fmt::format("m.dec.{}", w->decoder.size());
      VERGE_TRY(block(name, d, 7, 1, &w->decoder.emplace_back()));
    }
    VERGE_TRY(norm("m.dec_norm", d, &w->decoder_norm));
    VERGE_TRY(linear("m.head", kVoiceParts * kVoiceBins, d, &w->head));
    VERGE_TRY(spelling(&w->spelling));
    return reader_.finish();
  }
  size_t convolution_bytes() const { return convolution_bytes_; }

 private:
  Result<> norm(const std::string& name, int64_t width, Norm* to) {
    VERGE_TRY(reader_.vector(name + ".weight", width, Need::Required, &to->weight));
    return reader_.vector(name + ".bias", width, Need::Required, &to->bias);
  }
  Result<> linear(const std::string& name, int64_t out, int64_t in, Linear* to) {
    VERGE_TRY(reader_.matrix(name + ".weight", out, in, Need::Required, &to->weight));
    return reader_.vector(name + ".bias", out, Need::Required, &to->bias);
  }
  Result<> block(const std::string& name, int64_t width, int kernel, int dilation, Block* to) {
    to->kernel = kernel;
    to->dilation = dilation;
    std::vector<float> filters, bias;
    VERGE_TRY(reader_.values(name + ".dw.weight", width, kernel, &filters));
    VERGE_TRY(reader_.vector(name + ".dw.bias", width, Need::Required, &bias));
    const ConvolutionShape shape{width, width, kernel, 1, 1, true};
    convolution_bytes_ += sizes_.convolution_bytes(shape);
    if (packer_) {
      VERGE_ASSIGN(packed, packer_->pack_convolution(shape, filters, bias));
      to->depthwise = std::move(packed);
    }
    VERGE_TRY(norm(name + ".norm", width, &to->norm));
    VERGE_ASSIGN(inner, dimension(file_, name + ".pw1.weight", 0, limits::kModelWidth));
    VERGE_TRY(linear(name + ".pw1", inner, width, &to->up));
    return linear(name + ".pw2", width, inner, &to->down);
  }
  Result<> layer(const std::string& name, int64_t width, Layer* to) {
    VERGE_TRY(norm(name + ".norm1", width, &to->norm1));
    VERGE_TRY(norm(name + ".norm2", width, &to->norm2));
    VERGE_TRY(linear(name + ".self_attn.q", width, width, &to->q));
    VERGE_TRY(linear(name + ".self_attn.k", width, width, &to->k));
    VERGE_TRY(linear(name + ".self_attn.v", width, width, &to->v));
    VERGE_TRY(linear(name + ".self_attn.out_proj", width, width, &to->out));
    VERGE_ASSIGN(inner, dimension(file_, name + ".linear1.weight", 0, limits::kModelWidth));
    VERGE_TRY(linear(name + ".linear1", inner, width, &to->up));
    return linear(name + ".linear2", width, inner, &to->down);
  }
  Result<int> count(const char* key, int64_t most) const {
    const int64_t value = get_int(file_.config, key).value_or(0);
    if (value < 1 || value > most) {
      return fail(Code::LoadFailed, "{}/config.json: '{}' must be 1 to {}", file_.path, key, most);
    }
    return static_cast<int>(value);
  }
  Result<int> heads_of(const char* key, int64_t width) const {
    VERGE_ASSIGN(heads, count(key, limits::kHeads));
    if (width % heads != 0 || width / heads % 16 != 0 || width / heads > limits::kHeadDim) {
      return fail(Code::LoadFailed, "{}/config.json: '{}' does not divide a width of {}", file_.path,
                  key, width);
    }
    return heads;
  }
  Result<> encoder(const std::string& name, const char* passes, TextEncoder* to) {
    VERGE_ASSIGN(width, dimension(file_, name + ".emb.weight", 1, limits::kModelWidth));
    VERGE_ASSIGN(alphabet, dimension(file_, name + ".emb.weight", 0, 1 << 16));
    to->width = width;
    VERGE_ASSIGN(heads, heads_of("attention_heads", width));
    to->heads = heads;
    VERGE_ASSIGN(times, count(passes, limits::kLayers));
    to->passes = times;
    VERGE_TRY(reader_.table(name + ".emb.weight", alphabet, width, &to->embedding));
    to->blocks.resize(2);
    for (size_t i = 0; i < 2; ++i) {
      VERGE_TRY(block(fmt::format("{}.convs.{}", name, i), width, 5, 1, &to->blocks[i]));
    }
    VERGE_TRY(layer(name + ".attn", width, &to->layer));
    return norm(name + ".norm", width, &to->norm);
  }
  Result<> spelling(Spelling* to) {
    VERGE_ASSIGN(width, dimension(file_, "spelling.m.emb.weight", 1, limits::kModelWidth));
    VERGE_ASSIGN(letters, dimension(file_, "spelling.m.emb.weight", 0, 1 << 16));
    VERGE_ASSIGN(positions, dimension(file_, "spelling.m.pos", 0, 1 << 10));
    VERGE_ASSIGN(outputs, dimension(file_, "spelling.m.head.weight", 0, 1 << 16));
    to->width = width;
    to->letters = static_cast<int>(letters);
    VERGE_ASSIGN(slots, count("spelling_slots", 16));
    to->slots = slots;
    to->classes = outputs / slots;
    VERGE_ASSIGN(heads, heads_of("spelling_heads", width));
    to->heads = heads;
    VERGE_TRY(reader_.table("spelling.m.emb.weight", letters, width, &to->embedding));
    VERGE_TRY(reader_.table("spelling.m.pos", positions, width, &to->positions));
    while (to->layers.size() < limits::kLayers &&
           file_.tensors.contains(
               fmt::format("spelling.m.layers.{}.norm1.weight", to->layers.size()))) {
      const std::string name = fmt::format("spelling.m.layers.{}", to->layers.size());
      VERGE_TRY(layer(name, width, &to->layers.emplace_back()));
    }
    VERGE_TRY(norm("spelling.m.norm", width, &to->norm));
    return linear("spelling.m.head", outputs, width, &to->head);
  }

  const ModelFile& file_;
  WeightReader& reader_;
  Backend* packer_;
  const Backend& sizes_;
  int64_t decoder_width_ = 0;
  size_t convolution_bytes_ = 0;
};

class HibariModel final : public Hibari {
 public:
  HibariModel(std::shared_ptr<ModelFile> file, Backend& backend, Weights weights, HibariInfo info)
      : file_(std::move(file)), backend_(backend), w_(std::move(weights)), info_(info) {}

  const HibariInfo& info() const override { return info_; }

  void speak(std::span<const int32_t> ids, float speed, VoiceFrames* to) override {
    const int n = static_cast<int>(ids.size());
    assert(n >= 1 && n <= limits::kPhonemeIds && speed > 0);
    const std::vector<float> text = encode(w_.acoustic, ids);
    const std::vector<float> prosody = encode(w_.prosody, ids);
    // Which phoneme each pair of frames belongs to.
    const std::vector<int32_t> rows = durations(prosody, n, speed);
    const int pairs = static_cast<int>(rows.size());
    to->frames = 2 * pairs;
    std::vector<float> energy;
    curves(prosody, rows, &to->pitch, &energy);
    decode(text, rows, to->pitch, energy, &to->spectra);
  }

  std::vector<int32_t> spell(std::span<const int32_t> letters) override {
    const Spelling& s = w_.spelling;
    const int n = static_cast<int>(
        std::min<int64_t>(static_cast<int64_t>(letters.size()), s.positions.shape[0]));
    const size_t count = static_cast<size_t>(n) * static_cast<size_t>(s.width);
    std::vector<float> x(count), positions(count);
    std::vector<int32_t> places(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) places[static_cast<size_t>(i)] = i;
    backend_.embed(s.embedding, letters.subspan(0, static_cast<size_t>(n)), 1, x.data());
    backend_.embed(s.positions, places, 1, positions.data());
    for (size_t i = 0; i < count; ++i) x[i] += positions[i];
    for (const Layer& layer : s.layers) attend(layer, s.heads, s.width, n, x.data());
    normalize(s.norm, x.data(), n, s.width, x.data());
    std::vector<float> logits(static_cast<size_t>(n * s.slots * s.classes));
    linear(s.head, x.data(), n, logits.data());
    std::vector<int32_t> out;
    for (int slot = 0; slot < n * s.slots; ++slot) {
      const auto begin = logits.begin() + slot * s.classes;
      out.push_back(static_cast<int32_t>(std::max_element(begin, begin + s.classes) - begin));
    }
    return out;
  }

 private:
  void linear(const Linear& layer, const float* x, int n, float* y, bool accumulate = false) {
    const LinearOutput out[] = {{layer.weight.get(), layer.bias.data(), y, accumulate}};
    backend_.linear(x, n, RmsNorm{}, out);
  }
  void normalize(const Norm& norm, const float* x, int n, int64_t width, float* y) {
    backend_.layer_norm(x, n, width, {norm.weight.data(), norm.bias.data(), kNormEps}, y);
  }
  static float* at_least(std::vector<float>& buffer, int64_t count) {
    if (buffer.size() < static_cast<size_t>(count)) buffer.resize(static_cast<size_t>(count));
    return buffer.data();
  }

  // x {n, width} in place.
  void convolve(const Block& block, int64_t width, int n, std::vector<float>& x) {
    // Every dilation-th row is a column of a picture, whose columns do not see each other.
    const int columns = block.dilation, rows = (n + columns - 1) / columns;
    x.resize(static_cast<size_t>(rows * columns) * static_cast<size_t>(width), 0.0f);
    std::fill(x.begin() + n * width, x.end(), 0.0f);
    ConvolutionArgs args;
    args.weights = block.depthwise.get();
    args.x = x.data();
    args.n = 1;
    args.height = args.out_height = rows;
    args.width = args.out_width = columns;
    args.pad_top = block.kernel / 2;
    args.y = at_least(y_, int64_t{rows} * columns * width);
    backend_.convolution(args);
    normalize(block.norm, y_.data(), n, width, y_.data());
    float* inner = at_least(inner_, n * block.up.weight->out);
    linear(block.up, y_.data(), n, inner);
    backend_.activate(inner, n * block.up.weight->out, Activation::GeluErf);
    linear(block.down, inner, n, x.data(), true);
    x.resize(static_cast<size_t>(n) * static_cast<size_t>(width));
  }

  void attend(const Layer& layer, int heads, int64_t width, int n, float* x) {
    normalize(layer.norm1, x, n, width, at_least(y_, n * width));
    const int64_t count = n * width;
    const LinearOutput outs[] = {
        {layer.q.weight.get(), layer.q.bias.data(), at_least(q_, count), false},
        {layer.k.weight.get(), layer.k.bias.data(), at_least(k_, count), false},
        {layer.v.weight.get(), layer.v.bias.data(), at_least(v_, count), false}};
    backend_.linear(y_.data(), n, RmsNorm{}, outs);
    const std::array<int32_t, 2> starts = {0, n};
    FullAttentionArgs args;
    args.heads = heads;
    args.head_dim = static_cast<int>(width / heads);
    args.q = q_.data();
    args.k = k_.data();
    args.v = v_.data();
    args.out = y_.data();
    args.scale = 1 / std::sqrt(static_cast<float>(args.head_dim));
    args.starts = starts;
    backend_.full_attention(args);
    linear(layer.out, y_.data(), n, x, true);
    normalize(layer.norm2, x, n, width, y_.data());
    float* inner = at_least(inner_, n * layer.up.weight->out);
    linear(layer.up, y_.data(), n, inner);
    backend_.activate(inner, n * layer.up.weight->out, Activation::GeluErf);
    linear(layer.down, inner, n, x, true);
  }

  std::vector<float> encode(const TextEncoder& encoder, std::span<const int32_t> ids) {
    const int n = static_cast<int>(ids.size());
    std::vector<float> x(static_cast<size_t>(n * encoder.width));
    backend_.embed(encoder.embedding, ids, 1, x.data());
    for (const Block& block : encoder.blocks) convolve(block, encoder.width, n, x);
    for (int i = 0; i < encoder.passes; ++i) {
      attend(encoder.layer, encoder.heads, encoder.width, n, x.data());
    }
    normalize(encoder.norm, x.data(), n, encoder.width, x.data());
    return x;
  }

  std::vector<int32_t> durations(const std::vector<float>& prosody, int n, float speed) {
    const int64_t width = w_.prosody.width;
    std::vector<float> windows(static_cast<size_t>(n * width * 3)), hidden(static_cast<size_t>(n * width));
    backend_.unfold(prosody.data(), n, static_cast<int>(width), 3, 1, windows.data());
    linear(w_.duration1, windows.data(), n, hidden.data());
    backend_.activate(hidden.data(), n * width, Activation::GeluErf);
    std::vector<float> logs(static_cast<size_t>(n));
    linear(w_.duration2, hidden.data(), n, logs.data());
    std::vector<int32_t> rows;
    for (int i = 0; i < n; ++i) {
      const float pairs = std::nearbyint((std::exp(logs[static_cast<size_t>(i)]) - 1) / speed);
      const float most = static_cast<float>(limits::kVoiceFrames / 2) - static_cast<float>(rows.size());
      // At least one; a value that is no number counts as one.
      const int kept = pairs >= 1 ? static_cast<int>(std::min(pairs, most)) : 1;
      rows.insert(rows.end(), static_cast<size_t>(std::max(kept, 0)), i);
    }
    return rows;
  }

  void curves(const std::vector<float>& prosody, std::span<const int32_t> rows,
              std::vector<float>* pitch, std::vector<float>* energy) {
    const int64_t width = w_.prosody.width;
    const int n = static_cast<int>(rows.size());
    std::vector<float> gathered(static_cast<size_t>(n * width)), x(static_cast<size_t>(n * width));
    backend_.gather_rows(prosody.data(), rows, width, gathered.data());
    linear(w_.prosody_in, gathered.data(), n, x.data());
    for (const Block& block : w_.prosody_blocks) convolve(block, width, n, x);
    std::vector<float> out(static_cast<size_t>(n * kCurves));
    linear(w_.prosody_out, x.data(), n, out.data());
    pitch->resize(static_cast<size_t>(2 * n));
    energy->resize(static_cast<size_t>(2 * n));
    for (size_t i = 0; i < pitch->size(); ++i) {
      const float* row = out.data() + i / 2 * kCurves;
      (*pitch)[i] = row[i % 2] * kPitchScale;
      (*energy)[i] = row[2 + i % 2] * kEnergyScale;
    }
  }

  void decode(const std::vector<float>& text, std::span<const int32_t> rows,
              std::span<const float> pitch, std::span<const float> energy,
              std::vector<float>* spectra) {
    const int64_t width = w_.acoustic.width, in = width + 2, out = w_.decoder_in.weight->out;
    const int frames = static_cast<int>(pitch.size());
    std::vector<float> joined(static_cast<size_t>(frames * in));
    for (int f = 0; f < frames; ++f) {
      const auto at = static_cast<size_t>(f);
      float* to = joined.data() + f * in;
      std::copy_n(text.data() + rows[at / 2] * width, width, to);
      to[width] = std::log(std::max(pitch[at], 0.0f) + 1) / 5;
      to[width + 1] = energy[at] / 5;
    }
    std::vector<float> windows(static_cast<size_t>(frames * in * 7)), x(static_cast<size_t>(frames * out));
    backend_.unfold(joined.data(), frames, static_cast<int>(in), 7, 1, windows.data());
    linear(w_.decoder_in, windows.data(), frames, x.data());
    for (const Block& block : w_.decoder) convolve(block, out, frames, x);
    normalize(w_.decoder_norm, x.data(), frames, out, x.data());
    spectra->resize(static_cast<size_t>(frames) * kVoiceParts * kVoiceBins);
    linear(w_.head, x.data(), frames, spectra->data());
  }

  std::shared_ptr<ModelFile> file_;
  Backend& backend_;
  Weights w_;
  HibariInfo info_;
  std::vector<float> y_, q_, k_, v_, inner_;
};

Result<> check(const ModelFile& file) {
  if (get_string(file.config, "model_type").value_or("") == "hibari") return {};
  return fail(Code::LoadFailed, "{}: 'model_type' must be 'hibari'", file.path);
}

}  // namespace

Result<std::unique_ptr<Hibari>> load_hibari(std::shared_ptr<ModelFile> file, Backend& backend,
                                            const LoadOptions& options) {
  VERGE_TRY(check(*file));
  file->tensors = file->hub_tensors;
  WeightReader reader(*file, &backend, backend, options.precision, &options);
  Loader loader(*file, reader, &backend, backend);
  Weights weights;
  VERGE_TRY(loader.read(&weights));
  const HibariInfo info{reader.parameters(), reader.bytes() + loader.convolution_bytes(),
                        static_cast<int>(std::min(weights.acoustic.embedding.shape[0],
                                                  weights.prosody.embedding.shape[0])),
                        weights.spelling.letters};
  return std::unique_ptr<Hibari>(
      std::make_unique<HibariModel>(std::move(file), backend, std::move(weights), info));
}

Result<size_t> hibari_bytes(const ModelFile& file, const Backend& backend) {
  VERGE_TRY(check(file));
  ModelFile named = file;
  named.tensors = named.hub_tensors;
  WeightReader reader(named, nullptr, backend, Precision::Native, nullptr);
  Loader loader(named, reader, nullptr, backend);
  Weights weights;
  VERGE_TRY(loader.read(&weights));
  return reader.bytes() + loader.convolution_bytes();
}

}  // namespace verge::engine
