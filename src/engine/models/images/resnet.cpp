// ResNet 18, 34, 50, 101, 152 and their kin for image classification.
#include "engine/models/images/backbone.h"
#include "engine/models/images/table.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

Result<ResnetConfig> config_of(const ImageFile& file) {
  if (file.torch_names) return resnet_config_of(file, "");
  return read_resnet_config(file.config, file.path + "/config.json");
}

class Resnet final : public ImageModel {
 public:
  Resnet(Backend& backend, ImageModelInfo info) : backend_(backend), info_(std::move(info)) {}

  Result<> load(ImageWeights& weights, const ResnetConfig& config, bool torch_names) {
    VERGE_TRY(backbone_.load(weights, config, torch_names ? torch_resnet_names("") : hub_resnet_names()));
    VERGE_ASSIGN(classifier, weights.linear(torch_names ? "fc" : "classifier.1", config.widths.back(), static_cast<int64_t>(info_.labels.size())));
    classifier_ = std::move(classifier);
    VERGE_TRY(weights.finish());
    info_.parameters = weights.parameters();
    info_.weight_bytes = weights.bytes();
    return {};
  }

  const ImageModelInfo& info() const override { return info_; }

  Result<> classify(std::span<const Picture> pictures, float* logits) override {
    for (const auto& run : same_size_runs(pictures)) {
      to_input(run, info_.preparation, &x_);
      backbone_.forward(backend_, &x_);
      pooled_.shape(x_.n, 1, 1, x_.channels);
      backend_.mean_pool(x_.data.data(), x_.n, int64_t{x_.height} * x_.width, x_.channels, pooled_.data.data());
      convolve(backend_, *classifier_, pooled_, {}, Clamp::None, &scores_);
      logits = std::copy_n(scores_.data.data(), scores_.floats(), logits);
    }
    return {};
  }

 private:
  Backend& backend_;
  ImageModelInfo info_;
  ResnetBackbone backbone_;
  std::unique_ptr<Convolution> classifier_;
  Feature x_, pooled_, scores_;
};

}  // namespace

Result<std::unique_ptr<ImageModel>> load_resnet(const ImageFile& file, Backend& backend, const LoadOptions& options) {
  VERGE_ASSIGN(config, config_of(file));
  ImageWeights weights(file, backend, &options);
  auto model = std::make_unique<Resnet>(backend, image_info(file));
  VERGE_TRY(model->load(weights, config, file.torch_names));
  return std::unique_ptr<ImageModel>(std::move(model));
}

Result<ImageModelNeed> resnet_need(const ImageFile& file, Backend& backend) {
  VERGE_ASSIGN(config, config_of(file));
  ImageWeights weights(file, backend, nullptr);
  Resnet model(backend, image_info(file));
  VERGE_TRY(model.load(weights, config, file.torch_names));
  const Size size = input_size(file.preparation);
  return ImageModelNeed{weights.bytes(), ResnetBackbone::scratch_floats(config, limits::kPicturesAtOnce, size.height, size.width) * sizeof(float), file.task, ""};
}

}  // namespace verge::engine
