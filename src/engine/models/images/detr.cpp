// DETR (Carion et al., https://arxiv.org/abs/2005.12872) with a ResNet: the backbone's last map as rows, a Transformer encoder over
// them, a decoder whose learned queries each come to one box or none. Tensor names are those of the published checkpoints
// (backbone as torchvision) and of newer transformers (backbone as the hub's ResNet).
#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/models/images/backbone.h"
#include "engine/models/images/table.h"
#include "engine/models/images/transformer.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr float kNormEps = 1e-5f;
constexpr float kThreshold = 0.5f;  // of a detection's score, the reference pipeline's default

struct DetrConfig {
  int encoder_layers = 6, decoder_layers = 6, encoder_heads = 8, decoder_heads = 8, queries = 100;
  int64_t dim = 256, encoder_ff = 2048, decoder_ff = 2048;
  ResnetConfig backbone;
};

Result<DetrConfig> read_config(const ImageFile& file) {
  const std::string path = file.path + "/config.json";
  DetrConfig c;
  const auto number = [&](std::string_view key, int64_t missing, int64_t most, auto* to) { return read_count(file.config, path, key, missing, most, to); };
  VERGE_TRY(number("encoder_layers", 6, limits::kLayers, &c.encoder_layers));
  VERGE_TRY(number("decoder_layers", 6, limits::kLayers, &c.decoder_layers));
  VERGE_TRY(number("encoder_attention_heads", 8, limits::kHeads, &c.encoder_heads));
  VERGE_TRY(number("decoder_attention_heads", 8, limits::kHeads, &c.decoder_heads));
  VERGE_TRY(number("num_queries", 100, limits::kImageQueries, &c.queries));
  VERGE_TRY(number("d_model", 256, limits::kImageChannels, &c.dim));
  VERGE_TRY(number("encoder_ffn_dim", 2048, limits::kImageChannels, &c.encoder_ff));
  VERGE_TRY(number("decoder_ffn_dim", 2048, limits::kImageChannels, &c.decoder_ff));
  for (int heads : {c.encoder_heads, c.decoder_heads}) {
    if (c.dim % heads != 0 || c.dim / heads > limits::kHeadDim) return fail(Code::LoadFailed, "{}: {} heads do not divide a width of {}", path, heads, c.dim);
  }
  if (c.dim % 4 != 0) return fail(Code::LoadFailed, "{}: 'd_model' {} is not a multiple of 4", path, c.dim);
  const std::string positions = get_string(file.config, "position_embedding_type").value_or("sine");
  if (positions != "sine") return fail(Code::LoadFailed, "{}: 'position_embedding_type' is '{}', only sine is supported", path, positions.substr(0, 32));
  if (get_bool(file.config, "dilation").value_or(false)) return fail(Code::LoadFailed, "{}: 'dilation' is not supported", path);
  return c;
}

class Detr final : public ImageModel {
 public:
  Detr(Backend& backend, ImageModelInfo info, const DetrConfig& config) : backend_(backend), info_(std::move(info)), c_(config) {}

  Result<> load(ImageWeights& weights, const ImageFile& file) {
    const std::string torch_prefix = "model.backbone.conv_encoder.model.";
    c_.backbone = resnet_config_of(file, torch_prefix);
    VERGE_TRY(backbone_.load(weights, c_.backbone, torch_resnet_names(torch_prefix)));
    ConvolutionShape projection;
    projection.in = backbone_.width();
    projection.out = c_.dim;
    VERGE_ASSIGN(input, weights.biased("model.input_projection", projection));
    VERGE_ASSIGN(queries, weights.values("model.query_position_embeddings.weight", {c_.queries, c_.dim}));
    input_ = std::move(input);
    query_positions_ = std::move(queries);
    for (int i = 0; i < c_.encoder_layers; ++i) {
      VERGE_ASSIGN(layer, load_layer(weights, fmt::format("model.encoder.layers.{}.", i), c_.encoder_ff, false));
      encoder_.push_back(std::move(layer));
    }
    for (int i = 0; i < c_.decoder_layers; ++i) {
      VERGE_ASSIGN(layer, load_layer(weights, fmt::format("model.decoder.layers.{}.", i), c_.decoder_ff, true));
      decoder_.push_back(std::move(layer));
    }
    VERGE_ASSIGN(norm, read_norm(weights, "model.decoder.layernorm", c_.dim, kNormEps));
    VERGE_ASSIGN(classifier, weights.linear("class_labels_classifier", c_.dim, static_cast<int64_t>(info_.labels.size()) + 1));
    norm_ = std::move(norm);
    classifier_ = std::move(classifier);
    for (int i = 0; i < 3; ++i) {
      VERGE_ASSIGN(layer, weights.linear(fmt::format("bbox_predictor.layers.{}", i), c_.dim, i == 2 ? 4 : c_.dim));
      boxes_.push_back(std::move(layer));
    }
    VERGE_TRY(weights.finish());
    info_.parameters = weights.parameters();
    info_.weight_bytes = weights.bytes();
    return {};
  }

  // The largest map that detect() takes, and the memory for it.
  Result<> reserve() {
    VERGE_ASSIGN(memory, backend_.make_memory(c_.decoder_heads, static_cast<int>(c_.dim / c_.decoder_heads), rows_max()));
    memory_ = std::move(memory);
    return {};
  }
  int rows_max() const {
    const Size size = input_size(info_.preparation);
    const auto cells = [&](int side) { return (side + backbone_.stride() - 1) / backbone_.stride() + 1; };
    return cells(size.width) * cells(size.height);
  }

  const ImageModelInfo& info() const override { return info_; }

  Result<> detect(const Picture& picture, std::vector<Detection>* found) override {
    to_input({&picture, 1}, info_.preparation, &x_);
    backbone_.forward(backend_, &x_);
    if (x_.height * x_.width > rows_max()) return fail(Code::InvalidInput, "the picture has {} x {} pixels, more than this model takes", picture.width, picture.height);
    convolve(backend_, *input_, x_, {}, Clamp::None, &rows_);
    sine_positions(x_.height, x_.width);
    as_rows(&rows_, x_.height * x_.width, c_.dim);
    for (const Layer& layer : encoder_) {
      attend_to_itself(layer, c_.encoder_heads, positions_.data(), &rows_);
      mlp(layer, &rows_);
    }
    as_rows(&queries_, c_.queries, c_.dim);
    std::fill_n(queries_.data.begin(), queries_.floats(), 0.0f);
    for (const Layer& layer : decoder_) {
      attend_to_itself(layer, c_.decoder_heads, query_positions_.data(), &queries_);
      attend_to_picture(layer);
      mlp(layer, &queries_);
    }
    apply_norm(backend_, norm_, queries_, &queries_);
    read_boxes(found);
    return {};
  }

  size_t scratch_floats() const {
    const Size size = input_size(info_.preparation);
    return ResnetBackbone::scratch_floats(c_.backbone, 1, size.height, size.width) + static_cast<size_t>(rows_max()) * static_cast<size_t>(9 * c_.dim + c_.encoder_ff);
  }

 private:
  struct Layer {
    AttentionWeights self, cross;
    NormWeights self_norm, cross_norm, final_norm;
    std::unique_ptr<Convolution> up, down;
  };

  Result<Layer> load_layer(ImageWeights& weights, const std::string& at, int64_t ff, bool cross) const {
    Layer layer;
    const auto names = [&](const std::string& heads) {
      const std::string out = weights.has(heads + "o_proj.weight") ? "o_proj" : "out_proj";
      return AttentionNames{heads + "q_proj", heads + "k_proj", heads + "v_proj", heads + out};
    };
    const std::string mlp = weights.has(at + "mlp.fc1.weight") ? at + "mlp." : at;
    VERGE_ASSIGN(self, read_attention(weights, names(at + "self_attn."), c_.dim));
    VERGE_ASSIGN(self_norm, read_norm(weights, at + "self_attn_layer_norm", c_.dim, kNormEps));
    layer.self = std::move(self);
    layer.self_norm = std::move(self_norm);
    if (cross) {
      VERGE_ASSIGN(attention, read_attention(weights, names(at + "encoder_attn."), c_.dim));
      VERGE_ASSIGN(norm, read_norm(weights, at + "encoder_attn_layer_norm", c_.dim, kNormEps));
      layer.cross = std::move(attention);
      layer.cross_norm = std::move(norm);
    }
    VERGE_ASSIGN(up, weights.linear(mlp + "fc1", c_.dim, ff));
    VERGE_ASSIGN(down, weights.linear(mlp + "fc2", ff, c_.dim));
    VERGE_ASSIGN(final_norm, read_norm(weights, at + "final_layer_norm", c_.dim, kNormEps));
    layer.up = std::move(up);
    layer.down = std::move(down);
    layer.final_norm = std::move(final_norm);
    return layer;
  }

  // Half the channels tell the row, half the column: sin and cos of 2π · place / size over wave lengths of 1 to 10000.
  void sine_positions(int height, int width) {
    const int64_t half = c_.dim / 2;
    positions_.resize(static_cast<size_t>(height) * static_cast<size_t>(width) * static_cast<size_t>(c_.dim));
    const auto fill = [&](float place, float* to) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = place / std::pow(10000.0, static_cast<double>(i / 2 * 2) / static_cast<double>(half));
        to[i] = static_cast<float>(i % 2 == 0 ? std::sin(angle) : std::cos(angle));
      }
    };
    const auto place = [](int i, int count) { return static_cast<float>((i + 1) / (count + 1e-6) * 2 * std::numbers::pi); };
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        float* to = &positions_[static_cast<size_t>((int64_t{y} * width + x) * c_.dim)];
        fill(place(y, height), to);
        fill(place(x, width), to + half);
      }
    }
  }

  // to = x + positions; queries and keys know their place, values don't.
  void with_positions(const Feature& x, const float* positions, Feature* to) {
    as_rows(to, x.width, c_.dim);
    std::copy_n(x.data.data(), x.floats(), to->data.data());
    add_rows(backend_, to, positions, x.width);
  }

  void attend_to_itself(const Layer& layer, int heads, const float* positions, Feature* x) {
    with_positions(*x, positions, &placed_);
    convolve(backend_, *layer.self.q, placed_, {}, Clamp::None, &q_);
    convolve(backend_, *layer.self.k, placed_, {}, Clamp::None, &k_);
    convolve(backend_, *layer.self.v, *x, {}, Clamp::None, &v_);
    const int32_t starts[] = {0, x->width};
    FullAttentionArgs a;
    a.heads = heads;
    a.head_dim = static_cast<int>(c_.dim / heads);
    a.q = q_.data.data();
    a.k = k_.data.data();
    a.v = v_.data.data();
    a.out = placed_.data.data();
    a.scale = 1 / std::sqrt(static_cast<float>(a.head_dim));
    a.starts = starts;
    backend_.full_attention(a);
    convolve(backend_, *layer.self.out, placed_, {}, Clamp::None, x, x);
    apply_norm(backend_, layer.self_norm, *x, x);
  }

  void attend_to_picture(const Layer& layer) {
    with_positions(rows_, positions_.data(), &placed_);
    convolve(backend_, *layer.cross.k, placed_, {}, Clamp::None, &k_);
    convolve(backend_, *layer.cross.v, rows_, {}, Clamp::None, &v_);
    backend_.remember(k_.data.data(), v_.data.data(), rows_.width, *memory_);
    with_positions(queries_, query_positions_.data(), &placed_);
    convolve(backend_, *layer.cross.q, placed_, {}, Clamp::None, &q_);
    backend_.attend(*memory_, q_.data.data(), c_.queries, 1 / std::sqrt(static_cast<float>(c_.dim / c_.decoder_heads)), placed_.data.data());
    convolve(backend_, *layer.cross.out, placed_, {}, Clamp::None, &queries_, &queries_);
    apply_norm(backend_, layer.cross_norm, queries_, &queries_);
  }

  void mlp(const Layer& layer, Feature* x) {
    convolve(backend_, *layer.up, *x, {}, Clamp::Relu, &wide_);
    convolve(backend_, *layer.down, wide_, {}, Clamp::None, x, x);
    apply_norm(backend_, layer.final_norm, *x, x);
  }

  // Each query: the best class but "nothing", which is the last; a box as centre and size in fractions.
  void read_boxes(std::vector<Detection>* found) {
    convolve(backend_, *classifier_, queries_, {}, Clamp::None, &q_);
    convolve(backend_, *boxes_[0], queries_, {}, Clamp::Relu, &k_);
    convolve(backend_, *boxes_[1], k_, {}, Clamp::Relu, &v_);
    convolve(backend_, *boxes_[2], v_, {}, Clamp::None, &k_);
    const size_t classes = info_.labels.size() + 1;
    const auto sigmoid = [](float x) { return 1 / (1 + std::exp(-x)); };
    for (size_t i = 0; i < static_cast<size_t>(c_.queries); ++i) {
      const float* logits = q_.data.data() + i * classes;
      const float top = *std::max_element(logits, logits + classes);
      double sum = 0;
      for (size_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(logits[k] - top));
      const size_t best = static_cast<size_t>(std::max_element(logits, logits + classes - 1) - logits);
      const float score = static_cast<float>(std::exp(static_cast<double>(logits[best] - top)) / sum);
      if (!(score > kThreshold)) continue;
      const float* box = k_.data.data() + i * 4;
      const float x = sigmoid(box[0]), y = sigmoid(box[1]), w = sigmoid(box[2]), h = sigmoid(box[3]);
      found->push_back({static_cast<int>(best), score, x - w / 2, y - h / 2, x + w / 2, y + h / 2});
    }
  }

  Backend& backend_;
  ImageModelInfo info_;
  DetrConfig c_;
  ResnetBackbone backbone_;
  std::unique_ptr<Convolution> input_, classifier_;
  std::vector<std::unique_ptr<Convolution>> boxes_;
  std::vector<float> query_positions_, positions_;
  std::vector<Layer> encoder_, decoder_;
  NormWeights norm_;
  std::unique_ptr<AttentionMemory> memory_;
  Feature x_, rows_, queries_, placed_, q_, k_, v_, wide_;
};

}  // namespace

Result<std::unique_ptr<ImageModel>> load_detr(const ImageFile& file, Backend& backend, const LoadOptions& options) {
  VERGE_ASSIGN(config, read_config(file));
  ImageWeights weights(file, backend, &options);
  auto model = std::make_unique<Detr>(backend, image_info(file), config);
  VERGE_TRY(model->load(weights, file));
  VERGE_TRY(model->reserve());
  return std::unique_ptr<ImageModel>(std::move(model));
}

Result<ImageModelNeed> detr_need(const ImageFile& file, Backend& backend) {
  VERGE_ASSIGN(config, read_config(file));
  ImageWeights weights(file, backend, nullptr);
  Detr model(backend, image_info(file), config);
  VERGE_TRY(model.load(weights, file));
  return ImageModelNeed{weights.bytes(), model.scratch_floats() * sizeof(float), file.task, ""};
}

}  // namespace verge::engine
