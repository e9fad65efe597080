// Vision Transformer (Dosovitskiy et al., https://arxiv.org/abs/2010.11929) for image classification, as transformers has it:
// patches as tokens behind a class token, learned positions, norms before attention and MLP, the class token classified.
#include <cmath>

#include "engine/models/images/table.h"
#include "engine/models/images/transformer.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

struct VitConfig {
  int layers = 12, heads = 12, image = 224, patch = 16;
  int64_t dim = 768, ff = 3072;
  float eps = 1e-12f;
  int patches() const { return (image / patch) * (image / patch); }
};

Result<VitConfig> read_config(const ImageFile& file) {
  const std::string path = file.path + "/config.json";
  VitConfig c;
  const auto number = [&](std::string_view key, int64_t missing, int64_t most, auto* to) { return read_count(file.config, path, key, missing, most, to); };
  VERGE_TRY(number("num_hidden_layers", 12, limits::kLayers, &c.layers));
  VERGE_TRY(number("num_attention_heads", 12, limits::kHeads, &c.heads));
  VERGE_TRY(number("hidden_size", 768, limits::kImageChannels, &c.dim));
  VERGE_TRY(number("intermediate_size", 3072, limits::kImageChannels, &c.ff));
  VERGE_TRY(number("image_size", 224, limits::kPreparedSide, &c.image));
  VERGE_TRY(number("patch_size", 16, limits::kPreparedSide, &c.patch));
  const double eps = get_number(file.config, "layer_norm_eps").value_or(1e-12);
  if (!(eps >= 0 && eps < 1)) return fail(Code::LoadFailed, "{}: 'layer_norm_eps' is {}", path, eps);
  c.eps = static_cast<float>(eps);
  if (c.dim % c.heads != 0 || c.dim / c.heads > limits::kHeadDim) return fail(Code::LoadFailed, "{}: {} heads do not divide a width of {}", path, c.heads, c.dim);
  if (c.image % c.patch != 0) return fail(Code::LoadFailed, "{}: 'image_size' {} is not a multiple of 'patch_size' {}", path, c.image, c.patch);
  const std::string activation = get_string(file.config, "hidden_act").value_or("gelu");
  if (activation != "gelu") return fail(Code::LoadFailed, "{}: 'hidden_act' is '{}', only gelu is supported", path, activation.substr(0, 32));
  if (get_int(file.config, "num_channels").value_or(3) != 3) return fail(Code::LoadFailed, "{}: 'num_channels' must be 3", path);
  const ImagePreparation& p = file.preparation;
  if (!p.fixed_size() || p.output_width() != c.image || p.output_height() != c.image) {
    return fail(Code::LoadFailed, "{}: pictures are prepared to another size than 'image_size' {}", path, c.image);
  }
  return c;
}

class Vit final : public ImageModel {
 public:
  Vit(Backend& backend, ImageModelInfo info, const VitConfig& config) : backend_(backend), info_(std::move(info)), c_(config) {}

  Result<> load(ImageWeights& weights) {
    VERGE_ASSIGN(patches, weights.biased("vit.embeddings.patch_embeddings.projection", {3, c_.dim, c_.patch, c_.patch, c_.patch, false}));
    VERGE_ASSIGN(token, weights.values("vit.embeddings.cls_token", {1, 1, c_.dim}));
    VERGE_ASSIGN(positions, weights.values("vit.embeddings.position_embeddings", {1, c_.patches() + 1, c_.dim}));
    patches_ = std::move(patches);
    class_token_ = std::move(token);
    positions_ = std::move(positions);
    for (int i = 0; i < c_.layers; ++i) {
      VERGE_ASSIGN(layer, load_layer(weights, fmt::format("vit.encoder.layer.{}.", i)));
      layers_.push_back(std::move(layer));
    }
    VERGE_ASSIGN(norm, read_norm(weights, "vit.layernorm", c_.dim, c_.eps));
    VERGE_ASSIGN(classifier, weights.linear("classifier", c_.dim, static_cast<int64_t>(info_.labels.size())));
    norm_ = std::move(norm);
    classifier_ = std::move(classifier);
    for (const char* unused : {"vit.pooler.dense.weight", "vit.pooler.dense.bias"}) weights.ignore(unused);
    VERGE_TRY(weights.finish());
    info_.parameters = weights.parameters();
    info_.weight_bytes = weights.bytes();
    return {};
  }

  const ImageModelInfo& info() const override { return info_; }

  Result<> classify(std::span<const Picture> pictures, float* logits) override {
    for (const Picture& picture : pictures) {
      if (picture.width != c_.image || picture.height != c_.image) {
        return fail(Code::InvalidInput, "the picture has {} x {} pixels, this model takes {} x {}", picture.width, picture.height, c_.image, c_.image);
      }
    }
    for (const auto& run : same_size_runs(pictures)) {
      embed(run);
      for (const Layer& layer : layers_) forward(layer);
      classify_tokens();
      logits = std::copy_n(y_.data.data(), y_.floats(), logits);
    }
    return {};
  }

  static size_t scratch_floats(const VitConfig& c, int n) {
    return static_cast<size_t>(n) * static_cast<size_t>(c.patches() + 1) * static_cast<size_t>(6 * c.dim + c.ff) + 3 * static_cast<size_t>(n) * static_cast<size_t>(c.image) * static_cast<size_t>(c.image);
  }

 private:
  struct Layer {
    NormWeights before, after;
    AttentionWeights attention;
    std::unique_ptr<Convolution> up, down;
  };

  Result<Layer> load_layer(ImageWeights& weights, const std::string& at) const {
    Layer layer;
    VERGE_ASSIGN(before, read_norm(weights, at + "layernorm_before", c_.dim, c_.eps));
    VERGE_ASSIGN(after, read_norm(weights, at + "layernorm_after", c_.dim, c_.eps));
    const std::string heads = at + "attention.attention.";
    VERGE_ASSIGN(attention, read_attention(weights, {heads + "query", heads + "key", heads + "value", at + "attention.output.dense"}, c_.dim));
    VERGE_ASSIGN(up, weights.linear(at + "intermediate.dense", c_.dim, c_.ff));
    VERGE_ASSIGN(down, weights.linear(at + "output.dense", c_.ff, c_.dim));
    layer.before = std::move(before);
    layer.after = std::move(after);
    layer.attention = std::move(attention);
    layer.up = std::move(up);
    layer.down = std::move(down);
    return layer;
  }

  // x = (class token, patches) + positions, all pictures' rows behind each other.
  void embed(std::span<const Picture> pictures) {
    to_input(pictures, info_.preparation, &y_);
    convolve(backend_, *patches_, y_, {}, Clamp::None, &q_);
    const int tokens = c_.patches() + 1, n = static_cast<int>(pictures.size());
    as_rows(&x_, n * tokens, c_.dim);
    starts_.assign(1, 0);
    for (int i = 0; i < n; ++i) {
      float* to = x_.data.data() + int64_t{i} * tokens * c_.dim;
      const float* patches = q_.data.data() + int64_t{i} * c_.patches() * c_.dim;
      std::copy_n(patches, c_.patches() * c_.dim, std::copy_n(class_token_.data(), c_.dim, to));
      backend_.add_norm(to, positions_.data(), tokens, c_.dim, RmsNorm{});
      starts_.push_back((i + 1) * tokens);
    }
  }

  void forward(const Layer& layer) {
    apply_norm(backend_, layer.before, x_, &y_);
    convolve(backend_, *layer.attention.q, y_, {}, Clamp::None, &q_);
    convolve(backend_, *layer.attention.k, y_, {}, Clamp::None, &k_);
    convolve(backend_, *layer.attention.v, y_, {}, Clamp::None, &v_);
    FullAttentionArgs a;
    a.heads = c_.heads;
    a.head_dim = static_cast<int>(c_.dim / c_.heads);
    a.q = q_.data.data();
    a.k = k_.data.data();
    a.v = v_.data.data();
    a.out = y_.data.data();
    a.scale = 1 / std::sqrt(static_cast<float>(a.head_dim));
    a.starts = starts_;
    backend_.full_attention(a);
    convolve(backend_, *layer.attention.out, y_, {}, Clamp::None, &x_, &x_);
    apply_norm(backend_, layer.after, x_, &y_);
    convolve(backend_, *layer.up, y_, {}, Clamp::None, &wide_);
    backend_.activate(wide_.data.data(), static_cast<int64_t>(wide_.floats()), Activation::GeluErf);
    convolve(backend_, *layer.down, wide_, {}, Clamp::None, &x_, &x_);
  }

  void classify_tokens() {
    const int n = static_cast<int>(starts_.size()) - 1;
    as_rows(&q_, n, c_.dim);
    backend_.gather_rows(x_.data.data(), std::span(starts_).first(static_cast<size_t>(n)), c_.dim, q_.data.data());
    apply_norm(backend_, norm_, q_, &q_);
    convolve(backend_, *classifier_, q_, {}, Clamp::None, &y_);
  }

  Backend& backend_;
  ImageModelInfo info_;
  const VitConfig c_;
  std::unique_ptr<Convolution> patches_, classifier_;
  std::vector<float> class_token_, positions_;
  std::vector<Layer> layers_;
  NormWeights norm_;
  Feature x_, y_, q_, k_, v_, wide_;
  std::vector<int32_t> starts_;
};

}  // namespace

Result<std::unique_ptr<ImageModel>> load_vit(const ImageFile& file, Backend& backend, const LoadOptions& options) {
  VERGE_ASSIGN(config, read_config(file));
  ImageWeights weights(file, backend, &options);
  auto model = std::make_unique<Vit>(backend, image_info(file), config);
  VERGE_TRY(model->load(weights));
  return std::unique_ptr<ImageModel>(std::move(model));
}

Result<ImageModelNeed> vit_need(const ImageFile& file, Backend& backend) {
  VERGE_ASSIGN(config, read_config(file));
  ImageWeights weights(file, backend, nullptr);
  Vit model(backend, image_info(file), config);
  VERGE_TRY(model.load(weights));
  return ImageModelNeed{weights.bytes(), Vit::scratch_floats(config, limits::kPicturesAtOnce) * sizeof(float), file.task, ""};
}

}  // namespace verge::engine
