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
constexpr int kRows = 14, kPanels = 2, kDepthwiseRows = 4;
#elif VERGE_ISA_avx2
constexpr int kRows = 6, kPanels = 1, kDepthwiseRows = 4;
#else
constexpr int kRows = 2, kPanels = 1, kDepthwiseRows = 2;
#endif

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

// V vectors of channels of Rows pixels: with one vector four chains of multiply-adds would wait for each other, and each would have a
// pointer to load.
template <int Rows, int V>
void depthwise_channels(const DepthwiseTile& t, int64_t c, Lanes low, Lanes high) {
  Lanes sums[Rows][V];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sums[r][v] = load(t.bias + c + v * kWidth);
  }
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    Lanes w[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) w[v] = load(t.weights + tap * t.channels + c + v * kWidth);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const float* x = t.pixels[tap * Rows + r] + c;
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sums[r][v] = fma(load(x + v * kWidth), w[v], sums[r][v]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(t.y + r * t.channels + c + v * kWidth, clamp(sums[r][v], low, high));
  }
}

template <int Rows>
void depthwise_of(const DepthwiseTile& t) {
  const Lanes low = set1(t.low), high = set1(t.high);
  int64_t c = 0;
  for (; c + 2 * kWidth <= t.channels; c += 2 * kWidth) depthwise_channels<Rows, 2>(t, c, low, high);
  for (; c + kWidth <= t.channels; c += kWidth) depthwise_channels<Rows, 1>(t, c, low, high);
  if (c == t.channels) return;
  // The last channels by way of whole vectors, so that they are computed the same way.
  for (int r = 0; r < Rows; ++r) {
    float sum[kWidth] = {}, x[kWidth] = {}, w[kWidth] = {};
    for (int i = 0; c + i < t.channels; ++i) sum[i] = t.bias[c + i];
    for (int64_t tap = 0; tap < t.taps; ++tap) {
      for (int i = 0; c + i < t.channels; ++i) {
        x[i] = t.pixels[tap * Rows + r][c + i];
        w[i] = t.weights[tap * t.channels + c + i];
      }
      store(sum, fma(load(x), load(w), load(sum)));
    }
    store(sum, clamp(load(sum), low, high));
    for (int i = 0; c + i < t.channels; ++i) t.y[r * t.channels + c + i] = sum[i];
  }
}

template <int Rows = kDepthwiseRows>
void choose_depthwise(const DepthwiseTile& t) {
  if constexpr (Rows == 1) return depthwise_of<1>(t);
  else if (t.rows == Rows) return depthwise_of<Rows>(t);
  else return choose_depthwise<Rows - 1>(t);
}

void depthwise(const DepthwiseTile& t) { choose_depthwise<>(t); }

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

const ConvolutionKernels convolution_kernels = {kRows, kPanels, kDepthwiseRows, tile, depthwise, max_pixels, mean_pixels};

}  // namespace verge::engine::cpu::VERGE_ISA
