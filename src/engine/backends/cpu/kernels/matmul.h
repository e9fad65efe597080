// Function table of the product kernels, one per instruction set. Layouts: ../layout.h.
#pragma once

#include <stdint.h>

#include "engine/backends/cpu/layout.h"

namespace verge::engine::cpu {

// One to kCallGroups consecutive groups of `in`-element rows times one panel:
// tile[g][column][row of the group] = Σ over k, in an order which the layout alone fixes.
using Product = void (*)(const uint8_t* groups, int count, int64_t in, const uint8_t* panel, float* tile);

struct MatmulKernels {
  Product product[kLayouts][kWidths];
  // Writes row x {in} as column `column` of a panel of `width` columns. By PanelKind.
  void (*prepare[kPanelKinds])(const float* x, int64_t in, uint8_t* panel, int width, int column);
  // y[column][row] = tile (+ bias) (+ y), for the tile's first `columns` of `width` columns and first `rows` rows.
  void (*store)(const float* tile, int width, int columns, int64_t rows, const float* bias, bool accumulate, float* y, int64_t y_stride);
};

namespace base { extern const MatmulKernels matmul_kernels; }
namespace avx2 { extern const MatmulKernels matmul_kernels; }
namespace avx512 { extern const MatmulKernels matmul_kernels; }

}  // namespace verge::engine::cpu
