#include "engine/projection.h"

#include <cmath>

#include "engine/models/parts/weights.h"
#include "support/limits.h"

namespace verge::engine {

Result<Projection> Projection::take(ModelFile& file, Backend& backend, int64_t width, const LoadOptions& options) {
  Projection out;
  out.backend_ = &backend;
  out.width_ = width;
  WeightReader reader(file, &backend, backend, options.precision, nullptr);
  std::vector<std::string> taken;
  for (int i = 0; i < limits::kSentenceModules; ++i) {
    const std::string name = fmt::format("dense_{}", i), weight = name + ".weight", bias = name + ".bias";
    const auto tensor = file.tensors.find(weight);
    if (tensor == file.tensors.end()) continue;
    const int64_t rows = tensor->second.rank == 2 ? tensor->second.shape[0] : 0;
    if (rows < 1 || rows > limits::kModelWidth) return fail(Code::LoadFailed, "{}: tensor '{}' is {}, no matrix that is known", file.path, weight, to_string(tensor->second));
    Layer layer;
    VERGE_TRY(reader.matrix(weight, rows, out.width_, Need::Required, &layer.weight));
    VERGE_TRY(reader.vector(bias, rows, Need::Optional, &layer.bias));
    layer.tanh = file.text(name + ".activation").value_or("identity") == "tanh";
    out.layers_.push_back(std::move(layer));
    out.width_ = rows;
    taken.push_back(weight), taken.push_back(bias);
  }
  for (const std::string& name : taken) file.tensors.erase(name);
  out.bytes_ = reader.bytes();
  return out;
}

const float* Projection::apply(const float* x, int n) {
  for (const Layer& layer : layers_) {
    y_.resize(static_cast<size_t>(n * layer.weight->out));
    const LinearOutput out[] = {{layer.weight.get(), layer.bias.empty() ? nullptr : layer.bias.data(), y_.data(), false}};
    backend_->linear(x, n, RmsNorm{}, out);
    if (layer.tanh)
      for (float& value : y_) value = std::tanh(value);
    std::swap(x_, y_);
    x = x_.data();
  }
  return x;
}

}  // namespace verge::engine
