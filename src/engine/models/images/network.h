// What the image networks are put together from: weights by name with batch norms folded into the convolutions, and the
// activations between layers.
#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/image_file.h"
#include "engine/image_model.h"

namespace verge::engine {

// *to = config[key], `missing` where it is absent; LoadFailed, which names file and key, outside of [1, most].
template <class Number>
Result<> read_count(const json::object& config, const std::string& path, std::string_view key, int64_t missing, int64_t most, Number* to) {
  const int64_t value = get_int(config, key).value_or(missing);
  if (value < 1 || value > most) return fail(Code::LoadFailed, "{}: '{}' is {}, must be 1 to {}", path, key, value, most);
  *to = static_cast<Number>(value);
  return {};
}

// Takes tensors by name, checks their shapes, folds and packs; at the end tells of any that nobody took.
class ImageWeights {
 public:
  // Without options only sizes are counted.
  ImageWeights(const ImageFile& file, Backend& backend, const LoadOptions* options) : file_(file), backend_(backend), options_(options) {}

  bool has(const std::string& name) const { return file_.tensors.contains(name); }
  // The shape of a tensor that must be there, its rank checked.
  Result<TensorView> view(const std::string& name, int rank);
  // Values as f32; `shape` must fit exactly. Empty where sizes are counted.
  Result<std::vector<float>> values(const std::string& name, std::initializer_list<int64_t> shape);
  // `weight` + ".weight" {out, in, h, w}; batch norm `norm` + ".weight", ".bias", ".running_mean", ".running_var" folded in.
  Result<std::unique_ptr<Convolution>> normed(const std::string& weight, const std::string& norm, float eps, const ConvolutionShape& shape);
  // `name` + ".weight" {out, in, h, w} with ".bias".
  Result<std::unique_ptr<Convolution>> biased(const std::string& name, const ConvolutionShape& shape);
  // A linear layer as a convolution of one pixel: ".weight" {out, in}, ".bias" (zero where the file has none).
  Result<std::unique_ptr<Convolution>> linear(const std::string& name, int64_t in, int64_t out);
  // Rows [first, first + out) of a linear layer that holds several ("in_proj": q, k and v): `weight` {rows, in}, `bias` {rows}.
  Result<std::unique_ptr<Convolution>> linear_rows(const std::string& weight, const std::string& bias, int64_t rows, int64_t in, int64_t first, int64_t out);
  // Tensors that have no part in the answer.
  void ignore(const std::string& name) { taken_.insert(name); }
  Result<> finish() const;

  int64_t parameters() const { return parameters_; }
  size_t bytes() const { return bytes_; }
  const std::string& path() const { return file_.path; }

 private:
  Result<std::unique_ptr<Convolution>> pack(const std::string& name, const ConvolutionShape& shape, std::span<const float> weight, std::span<const float> bias);

  const ImageFile& file_;
  Backend& backend_;
  const LoadOptions* const options_;
  std::set<std::string, std::less<>> taken_;
  int64_t parameters_ = 0;
  size_t bytes_ = 0;
};

// Activations of n pictures, channels last. The memory only grows.
struct Feature {
  int n = 0, height = 0, width = 0;
  int64_t channels = 0;
  std::vector<float> data;

  void shape(int pictures, int rows, int columns, int64_t c) {
    n = pictures, height = rows, width = columns, channels = c;
    if (data.size() < floats()) data.resize(floats());
  }
  size_t floats() const { return static_cast<size_t>(n) * static_cast<size_t>(height) * static_cast<size_t>(width) * static_cast<size_t>(channels); }
};

// Runs body(i, one) for each of n pictures and gathers what it leaves in `one` in `batch`, {n, ...}: for layers whose features are so
// large that a batch's would push each other out of the cache.
template <class Body>
void one_by_one(int n, Feature* one, Feature* batch, const Body& body) {
  for (int i = 0; i < n; ++i) {
    body(i, one);
    if (i == 0) batch->shape(n, one->height, one->width, one->channels);
    std::copy_n(one->data.data(), one->floats(), batch->data.data() + static_cast<size_t>(i) * one->floats());
  }
}

enum class Clamp { None, Relu, Relu6 };
// Symmetric: `pad` on each side, as PyTorch. Same: TensorFlow's, as much as the output's ceil(in / stride) needs, the odd one below and right.
struct Padding {
  int pixels = 0;
  bool same = false;
};
struct Placement {
  int out_height = 0, out_width = 0, pad_top = 0, pad_left = 0;
};
Placement place(const ConvolutionShape& shape, int height, int width, Padding padding);
// On parts of pictures: x {n, height, width, in}, y {n, place.out_height, place.out_width, out}, `add` as y or null.
void convolve(Backend& backend, const Convolution& weights, const float* x, int n, int height, int width, const Placement& place, Clamp clamp, const float* add, float* y);
// `out` gets its shape here. `add`, where given, has it too and may be `out`.
void convolve(Backend& backend, const Convolution& weights, const Feature& in, Padding padding, Clamp clamp, Feature* out, const Feature* add = nullptr);
void max_pool(Backend& backend, const Feature& in, int kernel, int stride, int pad, Feature* out);

// (byte * rescale - mean) / deviation. All pictures have the same size.
void to_input(std::span<const Picture> pictures, const ImagePreparation& preparation, Feature* out);

// Runs of at most limits::kPicturesAtOnce pictures of one size.
std::vector<std::span<const Picture>> same_size_runs(std::span<const Picture> pictures);

}  // namespace verge::engine
