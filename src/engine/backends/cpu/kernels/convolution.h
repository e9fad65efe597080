// Function table of the convolution and pooling kernels, one per instruction set.
//
// Pictures lie channels last. A tile is up to `rows` output pixels times a panel of 16 (or two: 32) output channels. Where the
// pixels' inputs are is said by pointers, taps x rows of them (tap t of row r at pixels[t * rows + r]): a tap outside the picture
// points to zeros. Each element of a tile's result is one chain over taps and input channels in order, whatever the tile:
// that is what makes a picture's bits independent of its batch.
#pragma once

#include <stdint.h>

namespace verge::engine::cpu {

struct ConvolutionTile {
  const float* const* pixels = nullptr;  // {taps, rows}
  int rows = 0;                          // 1 … ConvolutionKernels::rows
  int64_t taps = 0, depth = 0;           // depth = floats behind each pointer
  const float* weights = nullptr;        // of the first panel {taps, depth, 16}
  int64_t panel = 0;                     // floats from there to the next panel's
  const float* bias = nullptr;           // {panels, 16}
  int panels = 1;                        // 1 … ConvolutionKernels::panels
  int64_t columns = 16;                  // channels of the panels that are there, <= panels * 16
  float* y = nullptr;                    // {rows, stride}
  const float* add = nullptr;            // as y, added before the clamp; or null. May be y.
  int64_t stride = 0;                    // floats from a row of y and add to the next
  float low = 0, high = 0;               // clamp
};

// One filter a channel. Outputs are neighbours in a row of the picture: filters overlap, and each input is read once for all of them.
struct DepthwiseTile {
  const float* const* pixels = nullptr;  // {kernel_height, (outputs - 1) * stride + kernel_width}
  int outputs = 0;                       // 1 … ConvolutionKernels::depthwise_outputs
  int kernel_height = 0, kernel_width = 0, stride = 1;
  int64_t channels = 0;
  const float* weights = nullptr;        // {kernel_height, kernel_width, channels}
  const float* bias = nullptr;           // {channels}
  float* y = nullptr;                    // {outputs, channels}
  float low = 0, high = 0;
};

struct ConvolutionKernels {
  int rows, panels, depthwise_outputs;
  void (*tile)(const ConvolutionTile& tile);
  void (*depthwise)(const DepthwiseTile& tile);
  // y[c] = the largest of `count` pixels' channel c.
  void (*max)(const float* const* pixels, int64_t count, int64_t channels, float* y);
  // y[c] = mean of `count` pixels that follow each other, summed in order.
  void (*mean)(const float* x, int64_t count, int64_t channels, float* y);
};

namespace base { extern const ConvolutionKernels convolution_kernels; }
namespace avx2 { extern const ConvolutionKernels convolution_kernels; }
namespace avx512 { extern const ConvolutionKernels convolution_kernels; }

}  // namespace verge::engine::cpu
