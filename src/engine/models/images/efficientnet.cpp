// EfficientNet-Lite0 (Tan and Le, https://arxiv.org/abs/1905.11946; the Lite variants of TensorFlow's model garden: ReLU6, no
// squeeze-and-excitation). Tensor names are efficientnet-lite-pytorch's.
#include "engine/models/images/inverted_residual.h"
#include "engine/models/images/network.h"
#include "engine/models/images/table.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr float kNormEps = 1e-3f;
constexpr int64_t kStem = 32, kHead = 1280;

struct Stage {
  int repeats, kernel, stride;
  int64_t expansion, out;
};
constexpr Stage kStages[] = {{1, 3, 1, 1, 16}, {2, 3, 2, 6, 24}, {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80}, {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
constexpr Padding kSame{0, true};

class EfficientNet final : public ImageModel {
 public:
  EfficientNet(Backend& backend, ImageModelInfo info) : backend_(backend), info_(std::move(info)) {}

  Result<> load(ImageWeights& weights) {
    VERGE_ASSIGN(stem, weights.normed("_conv_stem", "_bn0", kNormEps, {3, kStem, 3, 3, 2, false}));
    stem_ = std::move(stem);
    int64_t in = kStem;
    for (const Stage& stage : kStages) {
      for (int i = 0; i < stage.repeats; ++i) {
        VERGE_ASSIGN(block, load_block(weights, fmt::format("_blocks.{}.", blocks_.size()), stage, in, i == 0 ? stage.stride : 1));
        blocks_.push_back(std::move(block));
        in = stage.out;
      }
    }
    VERGE_ASSIGN(head, weights.normed("_conv_head", "_bn1", kNormEps, {in, kHead, 1, 1, 1, false}));
    VERGE_ASSIGN(classifier, weights.linear("_fc", kHead, static_cast<int64_t>(info_.labels.size())));
    head_ = std::move(head);
    classifier_ = std::move(classifier);
    VERGE_TRY(weights.finish());
    info_.parameters = weights.parameters();
    info_.weight_bytes = weights.bytes();
    return {};
  }

  const ImageModelInfo& info() const override { return info_; }

  Result<> classify(std::span<const Picture> pictures, float* logits) override {
    for (const auto& run : same_size_runs(pictures)) {
      one_by_one(static_cast<int>(run.size()), &x_, &batch_, [&](int i, Feature* x) {
        to_input(run.subspan(static_cast<size_t>(i), 1), info_.preparation, &y_);
        convolve(backend_, *stem_, y_, kSame, Clamp::Relu6, x);
        blocks(0, kAlone);
      });
      std::swap(x_, batch_);
      blocks(kAlone, blocks_.size());
      convolve(backend_, *head_, x_, kSame, Clamp::Relu6, &y_);
      pooled_.shape(y_.n, 1, 1, kHead);
      backend_.mean_pool(y_.data.data(), y_.n, int64_t{y_.height} * y_.width, kHead, pooled_.data.data());
      convolve(backend_, *classifier_, pooled_, kSame, Clamp::None, &y_);
      logits = std::copy_n(y_.data.data(), y_.floats(), logits);
    }
    return {};
  }

  static size_t scratch_floats(const Backend& backend, int n, int height, int width) {
    // A picture alone: 32 channels at half its sides, twice. The batch: 40 channels at an eighth, three times, and the head.
    const auto at = [&](int part, int64_t channels) { return static_cast<size_t>(height / part + 1) * static_cast<size_t>(width / part + 1) * static_cast<size_t>(channels); };
    return 2 * at(2, kStem) + static_cast<size_t>(n) * (3 * at(8, 40) + at(32, kHead)) + InvertedResidualRunner::scratch_floats(backend, width / 2 + 1, 96);
  }

 private:
  using Block = InvertedResidual;
  static constexpr size_t kAlone = 5;  // blocks up to an eighth of the picture's sides

  void blocks(size_t first, size_t end) {
    for (size_t i = first; i < end; ++i) {
      runner_.forward(blocks_[i], x_, &y_);
      std::swap(x_, y_);
    }
  }

  static Result<Block> load_block(ImageWeights& weights, const std::string& at, const Stage& stage, int64_t in, int stride) {
    Block block;
    const int64_t wide = in * stage.expansion;
    if (stage.expansion != 1) {
      VERGE_ASSIGN(expand, weights.normed(at + "_expand_conv", at + "_bn0", kNormEps, {in, wide, 1, 1, 1, false}));
      block.expand = std::move(expand);
    }
    VERGE_ASSIGN(depthwise, weights.normed(at + "_depthwise_conv", at + "_bn1", kNormEps, {wide, wide, stage.kernel, stage.kernel, stride, true}));
    VERGE_ASSIGN(project, weights.normed(at + "_project_conv", at + "_bn2", kNormEps, {wide, stage.out, 1, 1, 1, false}));
    block.depthwise = std::move(depthwise);
    block.project = std::move(project);
    block.residual = stride == 1 && in == stage.out;
    return block;
  }

  Backend& backend_;
  ImageModelInfo info_;
  std::unique_ptr<Convolution> stem_, head_, classifier_;
  std::vector<Block> blocks_;
  InvertedResidualRunner runner_{backend_};
  Feature x_, y_, batch_, pooled_;
};

}  // namespace

Result<std::unique_ptr<ImageModel>> load_efficientnet(const ImageFile& file, Backend& backend, const LoadOptions& options) {
  ImageWeights weights(file, backend, &options);
  auto model = std::make_unique<EfficientNet>(backend, image_info(file));
  VERGE_TRY(model->load(weights));
  return std::unique_ptr<ImageModel>(std::move(model));
}

Result<ImageModelNeed> efficientnet_need(const ImageFile& file, Backend& backend) {
  ImageWeights weights(file, backend, nullptr);
  EfficientNet model(backend, image_info(file));
  VERGE_TRY(model.load(weights));
  const Size size = input_size(file.preparation);
  return ImageModelNeed{weights.bytes(), EfficientNet::scratch_floats(backend, limits::kPicturesAtOnce, size.height, size.width) * sizeof(float), file.task, ""};
}

}  // namespace verge::engine
