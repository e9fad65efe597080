// Function table of the transforms of Winograd's convolution F(4 x 4, 3 x 3), one per instruction set: 16 outputs of a 3 x 3 filter
// from 36 products a channel where the sum over taps takes 144 (Lavin and Gray, https://arxiv.org/abs/1509.09308). Interpolation
// points 0, +-5/8, +-3/2 and infinity: rounding errors are a sixth of those of 0, +-1, +-2 (Barabasz et al.,
// https://arxiv.org/abs/1803.10986, on why points matter) and about twice those of the plain sum.
#pragma once

#include <stdint.h>

namespace verge::engine::cpu {

// Finite points are 0, a, -a, b, -b, in this order; infinity is the last.
constexpr float kWinogradA = 0.625f, kWinogradB = 1.5f;  // exact, as their powers up to the third are
constexpr int kWinogradPatch = 6, kWinogradTile = 4, kWinogradProducts = kWinogradPatch * kWinogradPatch;

struct WinogradOutput {
  const float* sums = nullptr;  // {36, stride}: 16 channels of each of the products
  int64_t stride = 0;
  const float* bias = nullptr;  // {16}
  float* y = nullptr;           // the tile's first pixel
  const float* add = nullptr;   // as y, added before the clamp; or null. May be y.
  int64_t pixel = 0, row = 0;   // floats of y and add from a pixel to its right and its lower neighbour
  int rows = 0, columns = 0;    // of the tile that lie in the picture, 1 … 4
  float low = 0, high = 0;      // clamp
};

struct WinogradKernels {
  // to[f * stride + c] = (Bt d B)[f] of each channel's 6 x 6 patch d; channels a multiple of 16.
  void (*input)(const float* const* pixels, int64_t channels, float* to, int64_t stride);
  // y = clamp(At m A + bias + add).
  void (*output)(const WinogradOutput& output);
};

namespace base { extern const WinogradKernels winograd_kernels; }
namespace avx2 { extern const WinogradKernels winograd_kernels; }
namespace avx512 { extern const WinogradKernels winograd_kernels; }

}  // namespace verge::engine::cpu
