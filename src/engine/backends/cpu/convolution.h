// Convolutions and pooling. See Backend::convolution and its neighbours for the contract.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/kernels/convolution.h"

namespace verge::engine::cpu {

class Arena;
class Threads;

// Working memory of each thread, kept between calls.
struct ConvolutionScratch {
  struct OfThread {
    std::vector<const float*> pixels;  // pointers of a block of tiles
    std::vector<float> floats;         // its inputs side by side, where there are few channels; what Winograd's transforms make
  };
  std::vector<OfThread> threads;
};

// `count` >= 1 rows cut into the fewest tiles of at most `most`, all nearly equal. No divisions after the first: they would take
// as long as a small tile does.
struct Cut {
  int64_t tiles, least, larger;  // tiles of one row more than `least` come first
  Cut(int64_t count, int64_t most) : tiles((count + most - 1) / most), least(count / tiles), larger(count % tiles) {}
  int64_t first(int64_t tile) const { return tile * least + std::min(tile, larger); }
  int rows(int64_t tile) const { return static_cast<int>(least + (tile < larger)); }
};

// Pointers to the pixels of a window, {rows, columns} from (top, left) of a picture of args.x; to `zeros` where it reaches outside.
void window_pixels(const ConvolutionArgs& args, int64_t channels, const float* zeros, int64_t picture, int64_t top, int64_t left, int rows, int columns, const float** to);

const ConvolutionKernels& convolution_kernels_for(Isa isa);

// Bytes that pack_convolution() holds.
size_t convolution_bytes(const ConvolutionShape& shape);
Result<std::unique_ptr<Convolution>> pack_convolution(const ConvolutionShape& shape, std::span<const float> weight, std::span<const float> bias, Arena& arena);
void convolution(const ConvolutionArgs& args, Threads& threads, Isa isa, ConvolutionScratch& scratch);
void max_pool(const PoolArgs& args, Threads& threads, Isa isa);
void mean_pool(const float* x, int n, int64_t pixels, int64_t channels, float* y, Threads& threads, Isa isa);

}  // namespace verge::engine::cpu
