#include "engine/models/images/transformer.h"

namespace verge::engine {

Result<NormWeights> read_norm(ImageWeights& weights, const std::string& name, int64_t dim, float eps) {
  NormWeights norm;
  VERGE_ASSIGN(weight, weights.values(name + ".weight", {dim}));
  VERGE_ASSIGN(bias, weights.values(name + ".bias", {dim}));
  norm.weight = std::move(weight);
  norm.bias = std::move(bias);
  norm.eps = eps;
  return norm;
}

void apply_norm(Backend& backend, const NormWeights& norm, const Feature& x, Feature* y) {
  if (y != &x) y->shape(x.n, x.height, x.width, x.channels);
  backend.layer_norm(x.data.data(), x.n * x.height * x.width, x.channels, {norm.weight.data(), norm.bias.data(), norm.eps}, y->data.data());
}

void add_rows(Backend& backend, Feature* x, const float* y, int rows) { backend.add_norm(x->data.data(), y, rows, x->channels, RmsNorm{}); }

Result<AttentionWeights> read_attention(ImageWeights& weights, const AttentionNames& names, int64_t dim) {
  AttentionWeights a;
  const std::pair<const std::string*, std::unique_ptr<Convolution>*> layers[] = {{&names.q, &a.q}, {&names.k, &a.k}, {&names.v, &a.v}, {&names.out, &a.out}};
  for (const auto& [name, to] : layers) {
    VERGE_ASSIGN(layer, weights.linear(*name, dim, dim));
    *to = std::move(layer);
  }
  return a;
}

}  // namespace verge::engine
