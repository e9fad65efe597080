#include <algorithm>
#include <cmath>

#include "engine/encoder.h"

namespace verge::engine {

void pool(const float* rows, int tokens, int64_t width, Pooling pooling, bool normalize, float* out) {
  const float* last = rows + (tokens - 1) * width;
  if (pooling == Pooling::Cls) std::copy(rows, rows + width, out);
  if (pooling == Pooling::Last) std::copy(last, last + width, out);
  if (pooling == Pooling::Mean) {
    std::fill(out, out + width, 0.0f);
    for (int t = 0; t < tokens; ++t)
      for (int64_t i = 0; i < width; ++i) out[i] += rows[t * width + i];
    for (int64_t i = 0; i < width; ++i) out[i] /= static_cast<float>(tokens);
  }
  if (!normalize) return;
  double squares = 0;
  for (int64_t i = 0; i < width; ++i) squares += static_cast<double>(out[i]) * out[i];
  const float scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0;
  for (int64_t i = 0; i < width; ++i) out[i] *= scale;
}

}  // namespace verge::engine
