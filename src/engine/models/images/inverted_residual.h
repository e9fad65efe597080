// An inverted residual (Sandler et al., https://arxiv.org/abs/1801.04381): channels widened by a 1 x 1 convolution, a depthwise one, narrowed
// again, the input added where shapes allow. What lies between is several times as large as input and output: it is made and
// used up in pieces that stay in the cache, whole pictures where they are small, some rows of one where not. Bits do not depend on the cut.
#pragma once

#include "engine/models/images/network.h"

namespace verge::engine {

struct InvertedResidual {
  std::unique_ptr<Convolution> expand;  // null: not widened
  std::unique_ptr<Convolution> depthwise, project;
  bool residual = false;
};

class InvertedResidualRunner {
 public:
  explicit InvertedResidualRunner(Backend& backend) : backend_(backend) {}
  // y gets its shape here; not x. Padding as TensorFlow's SAME, ReLU6 after the first two convolutions.
  void forward(const InvertedResidual& block, const Feature& x, Feature* y);
  // An upper bound of what the pieces take, floats, for pictures of `width` whose widest activation has `channels`.
  static size_t scratch_floats(const Backend& backend, int width, int64_t channels);

 private:
  void pictures(const InvertedResidual& block, const Feature& x, const Placement& place, int first, int count, Feature* y);
  void rows(const InvertedResidual& block, const Feature& x, const Placement& place, int picture, int rows_at_once, Feature* y);

  Backend& backend_;
  std::vector<float> wide_, filtered_;
};

}  // namespace verge::engine
