#include "engine/models/images/backbone.h"

#include <algorithm>

#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr float kNormEps = 1e-5f;  // PyTorch's default, which neither config names

Result<std::vector<int64_t>> sizes(const json::object& config, std::string_view key, std::vector<int64_t> missing, const std::string& path) {
  const json::array* list = get_array(config, key);
  if (!list) return missing;
  std::vector<int64_t> values;
  for (const json::value& item : *list) values.push_back(item.is_int64() ? item.get_int64() : 0);
  const bool good = !values.empty() && values.size() <= 8 && std::all_of(values.begin(), values.end(), [](int64_t v) { return v >= 1 && v <= limits::kImageChannels; });
  if (!good) return fail(Code::LoadFailed, "{}: '{}' must hold 1 to 8 numbers from 1 to {}", path, key, limits::kImageChannels);
  return values;
}

// Floats of one picture behind the stem and behind each stage.
struct Sizes {
  size_t stem = 0;
  std::vector<size_t> stages;
  size_t alone = 0;  // stages that each picture of a batch goes through by itself
};

// A stage whose features are larger than this is of no use to a batch: one layer's outputs would push each other out of the cache before
// the next layer reads them, and its weights are few.
constexpr size_t kAloneFloats = 256 * 1024;

Sizes sizes_of(const ResnetConfig& c, int height, int width) {
  const auto floats = [&](int stride, int64_t channels) {
    return static_cast<size_t>(height / stride + 1) * static_cast<size_t>(width / stride + 1) * static_cast<size_t>(channels);
  };
  Sizes s;
  s.stem = floats(c.stem_stride, c.stem_width);
  int stride = c.stem_stride * (c.stem_pool ? 2 : 1);
  for (size_t i = 0; i < c.widths.size(); ++i) {
    if (i > 0 || c.downsample_in_first_stage) stride *= 2;
    s.stages.push_back(floats(stride, c.widths[i]));
    if (s.alone == i && s.stages[i] > kAloneFloats) ++s.alone;
  }
  return s;
}

}  // namespace

Result<ResnetConfig> read_resnet_config(const json::object& config, const std::string& path) {
  ResnetConfig c;
  const std::string layer = get_string(config, "layer_type").value_or("bottleneck"), activation = get_string(config, "hidden_act").value_or("relu");
  if (layer != "basic" && layer != "bottleneck") return fail(Code::LoadFailed, "{}: 'layer_type' is '{}', must be basic or bottleneck", path, layer.substr(0, 32));
  if (activation != "relu") return fail(Code::LoadFailed, "{}: 'hidden_act' is '{}', only relu is supported", path, activation.substr(0, 32));
  if (get_int(config, "num_channels").value_or(3) != 3) return fail(Code::LoadFailed, "{}: 'num_channels' must be 3", path);
  c.bottleneck = layer == "bottleneck";
  VERGE_ASSIGN(depths, sizes(config, "depths", {3, 4, 6, 3}, path));
  VERGE_ASSIGN(widths, sizes(config, "hidden_sizes", {256, 512, 1024, 2048}, path));
  c.depths = std::move(depths);
  c.widths = std::move(widths);
  if (c.depths.size() != c.widths.size()) return fail(Code::LoadFailed, "{}: 'depths' and 'hidden_sizes' must be equally long", path);
  for (int64_t depth : c.depths) {
    if (depth > limits::kLayers) return fail(Code::LoadFailed, "{}: {} blocks in a stage, limit {}", path, depth, limits::kLayers);
  }
  for (int64_t width : c.widths) {
    if (c.bottleneck && width % 4 != 0) return fail(Code::LoadFailed, "{}: 'hidden_sizes' of bottlenecks must be multiples of 4", path);
  }
  const auto number = [&](std::string_view key, int64_t missing, int64_t most, auto* to) { return read_count(config, path, key, missing, most, to); };
  VERGE_TRY(number("embedding_size", 64, limits::kImageChannels, &c.stem_width));
  VERGE_TRY(number("stem_kernel_size", 7, 31, &c.stem_kernel));
  VERGE_TRY(number("stem_stride", 2, 8, &c.stem_stride));
  c.stem_pool = get_bool(config, "stem_pool").value_or(true);
  c.downsample_in_first_stage = get_bool(config, "downsample_in_first_stage").value_or(false);
  c.downsample_in_bottleneck = get_bool(config, "downsample_in_bottleneck").value_or(false);
  return c;
}

ResnetNames hub_resnet_names() {
  const auto pair = [](const std::string& at) { return ResnetNames::Pair{at + ".convolution", at + ".normalization"}; };
  ResnetNames names;
  names.stem = pair("resnet.embedder.embedder");
  names.layer = [pair](int stage, int block, int layer) { return pair(fmt::format("resnet.encoder.stages.{}.layers.{}.layer.{}", stage, block, layer)); };
  names.shortcut = [pair](int stage, int block) { return pair(fmt::format("resnet.encoder.stages.{}.layers.{}.shortcut", stage, block)); };
  return names;
}

ResnetNames torch_resnet_names(const std::string& prefix) {
  ResnetNames names;
  names.stem = {prefix + "conv1", prefix + "bn1"};
  names.layer = [prefix](int stage, int block, int layer) {
    const std::string at = fmt::format("{}layer{}.{}.", prefix, stage + 1, block);
    return ResnetNames::Pair{fmt::format("{}conv{}", at, layer + 1), fmt::format("{}bn{}", at, layer + 1)};
  };
  names.shortcut = [prefix](int stage, int block) {
    const std::string at = fmt::format("{}layer{}.{}.downsample.", prefix, stage + 1, block);
    return ResnetNames::Pair{at + "0", at + "1"};
  };
  return names;
}

ResnetConfig resnet_config_of(const ImageFile& file, const std::string& prefix) {
  const auto rows = [&](const std::string& name) {
    const auto found = file.tensors.find(prefix + name);
    return found == file.tensors.end() ? int64_t{4} : std::clamp<int64_t>(found->second.rows(), 1, limits::kImageChannels);
  };
  ResnetConfig c;
  c.bottleneck = file.tensors.contains(prefix + "layer1.0.conv3.weight");
  c.stem_width = rows("conv1.weight");
  for (int stage = 1; stage <= 4; ++stage) {
    int64_t depth = 0;
    while (depth < limits::kLayers && file.tensors.contains(fmt::format("{}layer{}.{}.conv1.weight", prefix, stage, depth))) ++depth;
    if (depth == 0 && stage > 1) break;
    c.depths.push_back(std::max<int64_t>(depth, 1));
    c.widths.push_back(rows(fmt::format("layer{}.0.conv{}.weight", stage, c.bottleneck ? 3 : 2)));
  }
  return c;
}

Result<> ResnetBackbone::load(ImageWeights& weights, const ResnetConfig& c, const ResnetNames& names) {
  config_ = c;
  VERGE_ASSIGN(stem, weights.normed(names.stem.convolution, names.stem.norm, kNormEps, {3, c.stem_width, c.stem_kernel, c.stem_kernel, c.stem_stride, false}));
  stem_ = std::move(stem);
  int64_t in = c.stem_width;
  for (size_t s = 0; s < c.depths.size(); ++s) {
    const int64_t out = c.widths[s], middle = c.bottleneck ? out / 4 : out;
    for (int64_t i = 0; i < c.depths[s]; ++i) {
      const int stage = static_cast<int>(s), block = static_cast<int>(i);
      const int stride = i == 0 && (s > 0 || c.downsample_in_first_stage) ? 2 : 1;
      const int at_first = c.bottleneck && c.downsample_in_bottleneck ? stride : 1;
      const ConvolutionShape basic[] = {{in, out, 3, 3, stride, false}, {out, out, 3, 3, 1, false}};
      const ConvolutionShape bottleneck[] = {{in, middle, 1, 1, at_first, false}, {middle, middle, 3, 3, stride / at_first, false}, {middle, out, 1, 1, 1, false}};
      Block made;
      int layer = 0;
      for (const ConvolutionShape& shape : c.bottleneck ? std::span<const ConvolutionShape>(bottleneck) : std::span<const ConvolutionShape>(basic)) {
        const ResnetNames::Pair at = names.layer(stage, block, layer++);
        VERGE_ASSIGN(convolution, weights.normed(at.convolution, at.norm, kNormEps, shape));
        made.layers.push_back(std::move(convolution));
      }
      const ResnetNames::Pair at = names.shortcut(stage, block);
      if (in != out || stride != 1 || weights.has(at.convolution + ".weight")) {
        VERGE_ASSIGN(shortcut, weights.normed(at.convolution, at.norm, kNormEps, {in, out, 1, 1, stride, false}));
        made.shortcut = std::move(shortcut);
      }
      blocks_.push_back(std::move(made));
      in = out;
    }
  }
  return {};
}

int ResnetBackbone::stride() const {
  int stride = config_.stem_stride * (config_.stem_pool ? 2 : 1);
  for (size_t s = config_.downsample_in_first_stage ? 0 : 1; s < config_.depths.size(); ++s) stride *= 2;
  return stride;
}

void ResnetBackbone::stem(Backend& backend, Feature* x) {
  convolve(backend, *stem_, *x, {stem_->shape.kernel_height / 2}, Clamp::Relu, &a_);
  if (config_.stem_pool) max_pool(backend, a_, 3, 2, 1, x);
  else std::swap(*x, a_);
}

void ResnetBackbone::blocks(Backend& backend, size_t first, size_t end, Feature* x) {
  for (size_t at = first; at < end; ++at) {
    const Block& block = blocks_[at];
    if (block.shortcut) convolve(backend, *block.shortcut, *x, {}, Clamp::None, &projected_);
    const Feature *in = x;
    Feature *between = &a_, *other = &b_;
    for (size_t i = 0; i + 1 < block.layers.size(); ++i) {
      convolve(backend, *block.layers[i], *in, {block.layers[i]->shape.kernel_height / 2}, Clamp::Relu, between);
      in = between;
      std::swap(between, other);
    }
    // The sum replaces what is added: nothing reads that any more.
    Feature* sum = block.shortcut ? &projected_ : x;
    convolve(backend, *block.layers.back(), *in, {block.layers.back()->shape.kernel_height / 2}, Clamp::Relu, sum, sum);
    if (block.shortcut) std::swap(*x, projected_);
  }
}

void ResnetBackbone::forward(Backend& backend, Feature* x) {
  const size_t split = x->n > 1 ? sizes_of(config_, x->height, x->width).alone : 0;
  size_t alone = 0;
  for (size_t s = 0; s < split; ++s) alone += static_cast<size_t>(config_.depths[s]);
  if (alone == 0) {
    stem(backend, x);
  } else {
    const size_t floats = x->floats() / static_cast<size_t>(x->n);
    one_by_one(x->n, &alone_, &batch_, [&](int i, Feature* one) {
      one->shape(1, x->height, x->width, x->channels);
      std::copy_n(x->data.data() + static_cast<size_t>(i) * floats, floats, one->data.data());
      stem(backend, one);
      blocks(backend, 0, alone, one);
    });
    std::swap(*x, batch_);
  }
  blocks(backend, alone, blocks_.size(), x);
}

size_t ResnetBackbone::scratch_floats(const ResnetConfig& c, int n, int height, int width) {
  const Sizes of = sizes_of(c, height, width);
  const size_t input = 3 * static_cast<size_t>(height) * static_cast<size_t>(width), pictures = static_cast<size_t>(n);
  const size_t first = std::max(of.stem, of.stages.front());
  // Four buffers; in a batch the widest is what the stages before leave behind.
  const size_t batch = of.alone > 0 ? of.stages[of.alone - 1] : first;
  return pictures * input + (of.alone > 0 ? input + 5 * first : 0) + 4 * pictures * batch;
}

}  // namespace verge::engine
