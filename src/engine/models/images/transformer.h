// What the image models with attention share: layers over rows of one width. A linear layer is a convolution of one pixel
// (network.h), so that bias, sum and ReLU come with it.
#pragma once

#include "engine/models/images/network.h"

namespace verge::engine {

struct NormWeights {
  std::vector<float> weight, bias;
  float eps = 1e-5f;
};
Result<NormWeights> read_norm(ImageWeights& weights, const std::string& name, int64_t dim, float eps);
// y may be x.
void apply_norm(Backend& backend, const NormWeights& norm, const Feature& x, Feature* y);

// `rows` of width `dim` in one picture's place.
inline void as_rows(Feature* x, int rows, int64_t dim) { x->shape(1, 1, rows, dim); }

// x += y, row by row.
void add_rows(Backend& backend, Feature* x, const float* y, int rows);

// Queries, keys, values and what becomes of the heads' sum.
struct AttentionWeights {
  std::unique_ptr<Convolution> q, k, v, out;
};
// `names` of the four linear layers, ".weight" and ".bias" after them; a file may leave out the first three's bias.
struct AttentionNames {
  std::string q, k, v, out;
};
Result<AttentionWeights> read_attention(ImageWeights& weights, const AttentionNames& names, int64_t dim);

}  // namespace verge::engine
