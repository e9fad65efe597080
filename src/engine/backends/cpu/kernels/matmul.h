// Function table of the product kernels, one per instruction set. Layouts: ../layout.h.
#pragma once

#include <stdint.h>

#include "engine/backends/cpu/layout.h"

namespace verge::engine::cpu {

// One to kCallGroups consecutive groups of `in`-element rows times one panel:
// tile[g][column][row of the group] = Σ over k, in an order which the layout alone fixes.
using Product = void (*)(const uint8_t* groups, int count, int64_t in, const uint8_t* panel, float* tile);

// Rows of activations on their way into a panel: x̂ = x, or x * inverse_rms * norm_weight where there is a norm.
struct PanelSource {
  const float* x;              // row c at x + c * stride
  int64_t stride;
  int columns;                 // <= kPanelColumns
  const float* norm_weight;    // {in} or null
  float inverse_rms[kPanelColumns];
};

struct MatmulKernels {
  Product product[kLayouts][kWidths];
  // Writes elements [begin, end) of all columns into a panel of `width` columns. Both ends are multiples of
  // kBlockElements, or the end is that of the row. By PanelKind.
  void (*prepare[kPanelKinds])(const PanelSource& source, int64_t begin, int64_t end, uint8_t* panel, int width);
  // 1 / sqrt(mean(x²) + eps).
  float (*inverse_rms)(const float* x, int64_t dim, float eps);
  // y[column][row] = tile (+ bias) (+ y), for the tile's first `columns` of `width` columns and first `rows` rows.
  void (*store)(const float* tile, int width, int columns, int64_t rows, const float* bias, bool accumulate, float* y, int64_t y_stride);
};

namespace base { extern const MatmulKernels matmul_kernels; }
namespace avx2 { extern const MatmulKernels matmul_kernels; }
namespace avx512 { extern const MatmulKernels matmul_kernels; }

}  // namespace verge::engine::cpu
