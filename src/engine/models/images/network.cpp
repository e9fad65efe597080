#include "engine/models/images/network.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>

#include "support/limits.h"

namespace verge::engine {
namespace {

std::string shape_text(std::initializer_list<int64_t> shape) {
  std::string text;
  for (int64_t size : shape) text += fmt::format("{}{}", text.empty() ? "" : ", ", size);
  return "{" + text + "}";
}

}  // namespace

Result<TensorView> ImageWeights::view(const std::string& name, int rank) {
  const auto found = file_.tensors.find(name);
  if (found == file_.tensors.end()) return fail(Code::LoadFailed, "{}: tensor '{}' is missing", file_.path, name);
  const TensorView& tensor = found->second;
  if (tensor.type != DType::F32 && tensor.type != DType::F16 && tensor.type != DType::BF16) {
    return fail(Code::LoadFailed, "{}: tensor '{}' {} is not of a floating-point type", file_.path, name, to_string(tensor));
  }
  if (tensor.rank != rank) return fail(Code::LoadFailed, "{}: tensor '{}' is {}, expected {} dimensions", file_.path, name, to_string(tensor), rank);
  return tensor;
}

Result<std::vector<float>> ImageWeights::values(const std::string& name, std::initializer_list<int64_t> shape) {
  const auto found = file_.tensors.find(name);
  if (found == file_.tensors.end()) return fail(Code::LoadFailed, "{}: tensor '{}' {} is missing", file_.path, name, shape_text(shape));
  VERGE_ASSIGN(tensor, view(name, static_cast<int>(shape.size())));
  if (!std::equal(shape.begin(), shape.end(), tensor.shape.begin())) {
    return fail(Code::LoadFailed, "{}: tensor '{}' is {}, expected {}", file_.path, name, to_string(tensor), shape_text(shape));
  }
  if (taken_.insert(name).second) parameters_ += tensor.elements();
  std::vector<float> values;
  if (!options_) return values;
  values.resize(static_cast<size_t>(tensor.elements()));
  // Half precision may lie at an odd address in a checkpoint.
  std::vector<std::byte> aligned;
  if (tensor.type != DType::F32) {
    aligned.assign(tensor.data, tensor.data + tensor.bytes);
    tensor.data = aligned.data();
  }
  dequantize(tensor, 0, tensor.elements(), values.data());
  return values;
}

Result<std::unique_ptr<Convolution>> ImageWeights::pack(const std::string& name, const ConvolutionShape& s, std::span<const float> weight, std::span<const float> bias) {
  bytes_ += backend_.convolution_bytes(s);
  if (!options_) return std::unique_ptr<Convolution>();
  auto packed = backend_.pack_convolution(s, weight, bias);
  if (!packed) {
    Error error = fail(Code::LoadFailed, "{}: tensor '{}': {}", file_.path, name, packed.error().message);
    error.retry_after_ms = packed.error().retry_after_ms;
    return error;
  }
  if (options_->progress) options_->progress(static_cast<double>(taken_.size()) / static_cast<double>(file_.tensors.size()));
  return std::move(*packed);
}

// BN(conv(x)) = gamma / sqrt(var + eps) * (w·x - mean) + beta: the factor goes into w, the rest is a bias.
Result<std::unique_ptr<Convolution>> ImageWeights::normed(const std::string& weight, const std::string& norm, float eps, const ConvolutionShape& s) {
  VERGE_ASSIGN(w, values(weight + ".weight", {s.out, s.depthwise ? 1 : s.in, s.kernel_height, s.kernel_width}));
  VERGE_ASSIGN(gamma, values(norm + ".weight", {s.out}));
  VERGE_ASSIGN(beta, values(norm + ".bias", {s.out}));
  VERGE_ASSIGN(mean, values(norm + ".running_mean", {s.out}));
  VERGE_ASSIGN(variance, values(norm + ".running_var", {s.out}));
  ignore(norm + ".num_batches_tracked");
  std::vector<float> bias(w.empty() ? 0 : static_cast<size_t>(s.out));
  const size_t filter = bias.empty() ? 0 : w.size() / bias.size();
  for (size_t o = 0; o < bias.size(); ++o) {
    if (!(variance[o] + eps > 0)) return fail(Code::LoadFailed, "{}: tensor '{}.running_var' holds {}", file_.path, norm, variance[o]);
    const double factor = gamma[o] / std::sqrt(static_cast<double>(variance[o]) + eps);
    for (size_t i = 0; i < filter; ++i) w[o * filter + i] = static_cast<float>(w[o * filter + i] * factor);
    bias[o] = static_cast<float>(beta[o] - mean[o] * factor);
  }
  return pack(weight, s, w, bias);
}

Result<std::unique_ptr<Convolution>> ImageWeights::biased(const std::string& name, const ConvolutionShape& s) {
  VERGE_ASSIGN(w, values(name + ".weight", {s.out, s.depthwise ? 1 : s.in, s.kernel_height, s.kernel_width}));
  VERGE_ASSIGN(bias, values(name + ".bias", {s.out}));
  return pack(name, s, w, bias);
}

Result<std::unique_ptr<Convolution>> ImageWeights::linear(const std::string& name, int64_t in, int64_t out) {
  return linear_rows(name + ".weight", name + ".bias", out, in, 0, out);
}

Result<std::unique_ptr<Convolution>> ImageWeights::linear_rows(const std::string& weight, const std::string& bias, int64_t rows, int64_t in, int64_t first, int64_t out) {
  VERGE_ASSIGN(w, values(weight, {rows, in}));
  std::vector<float> b(w.empty() ? 0 : static_cast<size_t>(rows));
  if (has(bias)) {
    VERGE_ASSIGN(read, values(bias, {rows}));
    b = std::move(read);
  }
  ConvolutionShape shape;
  shape.in = in;
  shape.out = out;
  if (w.empty()) return pack(weight, shape, w, b);
  return pack(weight, shape, std::span(w).subspan(static_cast<size_t>(first * in), static_cast<size_t>(out * in)),
              std::span(b).subspan(static_cast<size_t>(first), static_cast<size_t>(out)));
}

Result<> ImageWeights::finish() const {
  for (const auto& [name, tensor] : file_.tensors) {
    if (!taken_.contains(name)) return fail(Code::LoadFailed, "{}: tensor '{}' {} has no place in architecture '{}'", file_.path, name, to_string(tensor), file_.architecture);
  }
  return {};
}

Placement place(const ConvolutionShape& s, int height, int width, Padding padding) {
  Placement p;
  const auto side = [&](int size, int kernel, int* out_size, int* pad) {
    if (padding.same) {
      *out_size = (size + s.stride - 1) / s.stride;
      *pad = std::max((*out_size - 1) * s.stride + kernel - size, 0) / 2;
    } else {
      *out_size = (size + 2 * padding.pixels - kernel) / s.stride + 1;
      *pad = padding.pixels;
    }
  };
  side(height, s.kernel_height, &p.out_height, &p.pad_top);
  side(width, s.kernel_width, &p.out_width, &p.pad_left);
  return p;
}

void convolve(Backend& backend, const Convolution& weights, const float* x, int n, int height, int width, const Placement& p, Clamp clamp, const float* add, float* y) {
  ConvolutionArgs a;
  a.weights = &weights;
  a.x = x;
  a.n = n;
  a.height = height;
  a.width = width;
  a.out_height = p.out_height;
  a.out_width = p.out_width;
  a.pad_top = p.pad_top;
  a.pad_left = p.pad_left;
  a.add = add;
  a.y = y;
  if (clamp != Clamp::None) a.low = 0;
  if (clamp == Clamp::Relu6) a.high = 6;
  backend.convolution(a);
}

void convolve(Backend& backend, const Convolution& weights, const Feature& in, Padding padding, Clamp clamp, Feature* out, const Feature* add) {
  assert(in.channels == weights.shape.in && &in != out);
  const Placement p = place(weights.shape, in.height, in.width, padding);
  out->shape(in.n, p.out_height, p.out_width, weights.shape.out);
  assert(!add || add->floats() == out->floats());
  convolve(backend, weights, in.data.data(), in.n, in.height, in.width, p, clamp, add ? add->data.data() : nullptr, out->data.data());
}

void max_pool(Backend& backend, const Feature& in, int kernel, int stride, int pad, Feature* out) {
  out->shape(in.n, (in.height + 2 * pad - kernel) / stride + 1, (in.width + 2 * pad - kernel) / stride + 1, in.channels);
  backend.max_pool({in.data.data(), in.n, in.height, in.width, in.channels, kernel, stride, pad, out->height, out->width, out->data.data()});
}

void to_input(std::span<const Picture> pictures, const ImagePreparation& p, Feature* out) {
  std::array<std::array<float, 256>, 3> table;  // a byte has 256 values
  for (size_t c = 0; c < 3; ++c) {
    for (size_t v = 0; v < 256; ++v) table[c][v] = (static_cast<float>(v) * p.rescale - p.mean[c]) / p.deviation[c];
  }
  out->shape(static_cast<int>(pictures.size()), pictures[0].height, pictures[0].width, 3);
  float* to = out->data.data();
  for (const Picture& picture : pictures) {
    const size_t pixels = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height);
    for (size_t i = 0; i < pixels; ++i) {
      for (size_t c = 0; c < 3; ++c) *to++ = table[c][picture.rgb[3 * i + c]];
    }
  }
}

std::vector<std::span<const Picture>> same_size_runs(std::span<const Picture> pictures) {
  std::vector<std::span<const Picture>> runs;
  for (size_t first = 0; first < pictures.size();) {
    size_t end = first + 1;
    while (end < pictures.size() && end - first < static_cast<size_t>(limits::kPicturesAtOnce) && pictures[end].width == pictures[first].width &&
           pictures[end].height == pictures[first].height) {
      ++end;
    }
    runs.push_back(pictures.subspan(first, end - first));
    first = end;
  }
  return runs;
}

}  // namespace verge::engine
