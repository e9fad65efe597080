// The convolutional part of a ResNet (He et al., https://arxiv.org/abs/1512.03385): stem and stages, without the classifier.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/models/images/network.h"

namespace verge::engine {

struct ResnetConfig {
  bool bottleneck = true;
  std::vector<int64_t> depths, widths;   // of the stages; widths are outputs
  int64_t stem_width = 64;
  int stem_kernel = 7, stem_stride = 2;
  bool stem_pool = true;                 // 3 x 3 maximum, stride 2
  bool downsample_in_first_stage = false;
  bool downsample_in_bottleneck = false;  // the stride is at the first 1 x 1 instead of the 3 x 3 (He's own; torchvision's is not)
};

// "resnet" as in transformers' config.json. Keys of ours beside the published ones: stem_kernel_size, stem_stride, stem_pool
// (CIFAR's nets begin with 3 x 3, stride 1, no pool).
Result<ResnetConfig> read_resnet_config(const json::object& config, const std::string& path);

// Where a file keeps the weights of each convolution and its batch norm.
struct ResnetNames {
  struct Pair {
    std::string convolution, norm;
  };
  Pair stem;
  std::function<Pair(int stage, int block, int layer)> layer;
  std::function<Pair(int stage, int block)> shortcut;
};
ResnetNames hub_resnet_names();
ResnetNames torch_resnet_names(const std::string& prefix);  // torchvision, timm

// How deep and wide a backbone of torchvision's names is, by its tensors. What is missing or odd is told of by the first tensor
// that does not fit.
ResnetConfig resnet_config_of(const ImageFile& file, const std::string& prefix);

class ResnetBackbone {
 public:
  // A shortcut is projected where width or stride change (or where the file has one).
  Result<> load(ImageWeights& weights, const ResnetConfig& config, const ResnetNames& names);
  int64_t width() const { return config_.widths.back(); }
  // How many input pixels one output pixel stands for, each way.
  int stride() const;
  // Takes the input's place: `x` in, features out.
  void forward(Backend& backend, Feature* x);
  // Floats of all buffers for n pictures of the given size.
  static size_t scratch_floats(const ResnetConfig& config, int n, int height, int width);

 private:
  struct Block {
    std::vector<std::unique_ptr<Convolution>> layers;
    std::unique_ptr<Convolution> shortcut;
  };
  void stem(Backend& backend, Feature* x);
  void blocks(Backend& backend, size_t first, size_t end, Feature* x);

  ResnetConfig config_;
  std::unique_ptr<Convolution> stem_;
  std::vector<Block> blocks_;
  Feature a_, b_, projected_, alone_, batch_;
};

}  // namespace verge::engine
