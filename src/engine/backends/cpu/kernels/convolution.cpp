// Convolution kernels (contract: convolution.h). A tile's sums stay in registers over all taps and channels: one vector of
// weights is loaded for all rows, one float of a pixel is spread over a vector for all columns. Sizes are what the registers
// hold: 14 rows x 32 channels of AVX-512 (28 sums of 32 registers; 14 divides the pictures of 224, 112, 56, 28 and 14), 6 x 16 of
// AVX2, 2 x 16 of SSE.
#include "engine/backends/cpu/kernels/convolution.h"

#include "engine/backends/cpu/kernels/lanes.h"

namespace verge::engine::cpu::VERGE_ISA {
namespace {

constexpr int kPanel = 16;
constexpr int kPanelLanes = kPanel / kWidth;
#if VERGE_ISA_avx512
constexpr int kRows = 14, kPanels = 2;
#elif VERGE_ISA_avx2
constexpr int kRows = 6, kPanels = 1;
#else
constexpr int kRows = 2, kPanels = 1;
#endif
constexpr int kDepthwiseOutputs = 8;  // with as many sums, five weights and an input 16 registers are enough

VERGE_INLINE Lanes clamp(Lanes x, Lanes low, Lanes high) { return min(max(x, low), high); }

// One row of one panel: the sums, what is added, the clamp; `columns` of the 16 channels exist.
VERGE_INLINE void finish(const Lanes* sums, const ConvolutionTile& t, int64_t at, int64_t columns) {
  const Lanes low = set1(t.low), high = set1(t.high);
  if (columns >= kPanel) {
    for (int l = 0; l < kPanelLanes; ++l) {
      Lanes sum = sums[l];
      if (t.add) sum = add(sum, load(t.add + at + l * kWidth));
      store(t.y + at + l * kWidth, clamp(sum, low, high));
    }
    return;
  }
  float whole[kPanel];
  for (int l = 0; l < kPanelLanes; ++l) store(whole + l * kWidth, sums[l]);
  if (t.add) {
    for (int64_t c = 0; c < columns; ++c) whole[c] += t.add[at + c];
  }
  for (int l = 0; l < kPanelLanes; ++l) store(whole + l * kWidth, clamp(load(whole + l * kWidth), low, high));
  for (int64_t c = 0; c < columns; ++c) t.y[at + c] = whole[c];
}

template <int Rows, int Panels>
void tile_of(const ConvolutionTile& t) {
  Lanes sums[Rows][Panels * kPanelLanes];
  for (int l = 0; l < Panels * kPanelLanes; ++l) {
    const Lanes bias = load(t.bias + l * kWidth);
#pragma GCC unroll 14
    for (int r = 0; r < Rows; ++r) sums[r][l] = bias;
  }
  const float* weights = t.weights;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const float* x[Rows];
#pragma GCC unroll 14
    for (int r = 0; r < Rows; ++r) x[r] = t.pixels[tap * Rows + r];
    for (int64_t k = 0; k < t.depth; ++k, weights += kPanel) {
      Lanes w[Panels * kPanelLanes];
#pragma GCC unroll 4
      for (int l = 0; l < Panels * kPanelLanes; ++l) w[l] = load(weights + (l / kPanelLanes) * t.panel + (l % kPanelLanes) * kWidth);
#pragma GCC unroll 14
      for (int r = 0; r < Rows; ++r) {
        const Lanes value = set1(x[r][k]);
#pragma GCC unroll 4
        for (int l = 0; l < Panels * kPanelLanes; ++l) sums[r][l] = fma(value, w[l], sums[r][l]);
      }
    }
  }
  if (t.columns >= Panels * kPanel && !t.add) {
    const Lanes low = set1(t.low), high = set1(t.high);
    float* y = t.y;
#pragma GCC unroll 14
    for (int r = 0; r < Rows; ++r, y += t.stride) {
#pragma GCC unroll 4
      for (int l = 0; l < Panels * kPanelLanes; ++l) store(y + l * kWidth, clamp(sums[r][l], low, high));
    }
    return;
  }
#pragma GCC unroll 14
  for (int r = 0; r < Rows; ++r) {
    for (int p = 0; p < Panels; ++p) finish(&sums[r][p * kPanelLanes], t, r * t.stride + p * kPanel, t.columns - p * kPanel);
  }
}

template <int Panels, int Rows = kRows>
void choose_rows(const ConvolutionTile& t) {
  if constexpr (Rows == 1) return tile_of<1, Panels>(t);
  else if (t.rows == Rows) return tile_of<Rows, Panels>(t);
  else return choose_rows<Panels, Rows - 1>(t);
}

void tile(const ConvolutionTile& t) {
  if constexpr (kPanels == 2) {
    if (t.panels == 2) return choose_rows<2>(t);
  }
  choose_rows<1>(t);
}

// One vector of channels of Outputs neighbours. Kernel and Stride 0: as the tile says.
template <int Outputs, int Kernel, int Stride>
VERGE_INLINE void depthwise_lanes(const DepthwiseTile& t, int64_t c, Lanes low, Lanes high) {
  const int kernel = Kernel ? Kernel : t.kernel_width, stride = Stride ? Stride : t.stride, across = (Outputs - 1) * stride + kernel;
  Lanes sums[Outputs];
  const Lanes bias = load(t.bias + c);
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) sums[o] = bias;
  for (int ky = 0; ky < t.kernel_height; ++ky) {
    const float* const* pixels = t.pixels + ky * across;
    const float* weights = t.weights + ky * kernel * t.channels + c;
    if constexpr (Kernel && Stride) {
      Lanes w[Kernel];
#pragma GCC unroll 5
      for (int kx = 0; kx < Kernel; ++kx) w[kx] = load(weights + kx * t.channels);
#pragma GCC unroll 19
      for (int x = 0; x < (Outputs - 1) * Stride + Kernel; ++x) {
        const Lanes value = load(pixels[x] + c);
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) {
          if (x >= o * Stride && x < o * Stride + Kernel) sums[o] = fma(value, w[x - o * Stride], sums[o]);
        }
      }
    } else {
      for (int kx = 0; kx < kernel; ++kx) {
        const Lanes w = load(weights + kx * t.channels);
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) sums[o] = fma(load(pixels[o * stride + kx] + c), w, sums[o]);
      }
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) store(t.y + o * t.channels + c, clamp(sums[o], low, high));
}

template <int Outputs, int Kernel, int Stride>
void depthwise_of(const DepthwiseTile& t) {
  const Lanes low = set1(t.low), high = set1(t.high);
  int64_t c = 0;
  for (; c + kWidth <= t.channels; c += kWidth) depthwise_lanes<Outputs, Kernel, Stride>(t, c, low, high);
  // The last channels, one vector with zeros behind them.
  const int across = (Outputs - 1) * t.stride + t.kernel_width, rest = static_cast<int>(t.channels - c);
  for (int o = 0; rest > 0 && o < Outputs; ++o) {
    float sum[kWidth] = {}, x[kWidth] = {}, w[kWidth] = {};
    for (int i = 0; i < rest; ++i) sum[i] = t.bias[c + i];
    for (int ky = 0; ky < t.kernel_height; ++ky) {
      for (int kx = 0; kx < t.kernel_width; ++kx) {
        for (int i = 0; i < rest; ++i) {
          x[i] = t.pixels[ky * across + o * t.stride + kx][c + i];
          w[i] = t.weights[(ky * t.kernel_width + kx) * t.channels + c + i];
        }
        store(sum, fma(load(x), load(w), load(sum)));
      }
    }
    store(sum, clamp(load(sum), low, high));
    for (int i = 0; i < rest; ++i) t.y[o * t.channels + c + i] = sum[i];
  }
}

template <int Kernel, int Stride, int Outputs = kDepthwiseOutputs>
void choose_outputs(const DepthwiseTile& t) {
  if constexpr (Outputs == 1) return depthwise_of<1, Kernel, Stride>(t);
  else if (t.outputs == Outputs) return depthwise_of<Outputs, Kernel, Stride>(t);
  else return choose_outputs<Kernel, Stride, Outputs - 1>(t);
}

void depthwise(const DepthwiseTile& t) {
  if (t.kernel_width == 3 && t.stride == 1) return choose_outputs<3, 1>(t);
  if (t.kernel_width == 3 && t.stride == 2) return choose_outputs<3, 2>(t);
  if (t.kernel_width == 5 && t.stride == 1) return choose_outputs<5, 1>(t);
  if (t.kernel_width == 5 && t.stride == 2) return choose_outputs<5, 2>(t);
  choose_outputs<0, 0>(t);
}

void max_pixels(const float* const* pixels, int64_t count, int64_t channels, float* y) {
  int64_t c = 0;
  for (; c + kWidth <= channels; c += kWidth) {
    Lanes top = load(pixels[0] + c);
    for (int64_t i = 1; i < count; ++i) top = max(load(pixels[i] + c), top);
    store(y + c, top);
  }
  for (; c < channels; ++c) {
    float top = pixels[0][c];
    for (int64_t i = 1; i < count; ++i) top = pixels[i][c] > top ? pixels[i][c] : top;
    y[c] = top;
  }
}

void mean_pixels(const float* x, int64_t count, int64_t channels, float* y) {
  const float scale = 1.0f / static_cast<float>(count);
  int64_t c = 0;
  for (; c + kWidth <= channels; c += kWidth) {
    Lanes sum = zero();
    for (int64_t i = 0; i < count; ++i) sum = add(sum, load(x + i * channels + c));
    store(y + c, mul(sum, set1(scale)));
  }
  for (; c < channels; ++c) {
    float sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += x[i * channels + c];
    y[c] = sum * scale;
  }
}

}  // namespace

const ConvolutionKernels convolution_kernels = {kRows, kPanels, kDepthwiseOutputs, tile, depthwise, max_pixels, mean_pixels};

}  // namespace verge::engine::cpu::VERGE_ISA
