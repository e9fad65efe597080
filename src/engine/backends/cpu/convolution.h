// Convolutions and pooling. See Backend::convolution and its neighbours for the contract.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/backends/cpu/isa.h"

namespace verge::engine::cpu {

class Arena;
class Threads;

// Working memory of each thread, kept between calls.
struct ConvolutionScratch {
  struct OfThread {
    std::vector<const float*> pixels;  // pointers of a block of tiles
    std::vector<float> patches;        // its inputs side by side, where there are few channels
  };
  std::vector<OfThread> threads;
};

Result<std::unique_ptr<Convolution>> pack_convolution(const ConvolutionShape& shape, std::span<const float> weight, std::span<const float> bias, Arena& arena);
void convolution(const ConvolutionArgs& args, Threads& threads, Isa isa, ConvolutionScratch& scratch);
void max_pool(const PoolArgs& args, Threads& threads, Isa isa);
void mean_pool(const float* x, int n, int64_t pixels, int64_t channels, float* y, Threads& threads, Isa isa);

}  // namespace verge::engine::cpu
