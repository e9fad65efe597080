// The dense layers that some embedding models put behind the pooling (sentence-transformers' module Dense: EmbeddingGemma,
// LaBSE): vector in, vector of another width out.
#pragma once

#include <memory>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/model_file.h"
#include "engine/model.h"
#include "support/error.h"

namespace verge::engine {

class Projection {
 public:
  // Takes the tensors "dense_N.weight" and "dense_N.bias" out of the file, in the order of N; "dense_N.activation" says
  // "identity" or "tanh". Without any, apply() returns what it got. Errors: LoadFailed naming the tensor.
  static Result<Projection> take(ModelFile& file, Backend& backend, int64_t width, const LoadOptions& options);

  int64_t width() const { return width_; }  // of what comes out
  size_t bytes() const { return bytes_; }
  // {n, width in} -> {n, width()}, in memory that lives until the next call. A row's bits don't depend on the others.
  const float* apply(const float* x, int n);

 private:
  struct Layer {
    std::unique_ptr<Matrix> weight;
    std::vector<float> bias;
    bool tanh = false;
  };
  Backend* backend_ = nullptr;
  int64_t width_ = 0;
  size_t bytes_ = 0;
  std::vector<Layer> layers_;
  std::vector<float> x_, y_;
};

}  // namespace verge::engine
