// Convolutions of 3 x 3, stride 1, by Winograd's F(4 x 4, 3 x 3). Sources and the choice of points: kernels/winograd.h.
#pragma once

#include <cstdint>
#include <span>

#include "engine/backend.h"
#include "engine/backends/cpu/isa.h"

namespace verge::engine::cpu {

class Threads;
struct ConvolutionScratch;

// Whether such a layer is held in transformed weights, which are four times as many: it is where channels are whole panels and
// reading the weights does not cost more than the products save.
bool by_winograd(const ConvolutionShape& shape);
// Floats of the transformed weights.
int64_t winograd_floats(const ConvolutionShape& shape);
// weight {out, in, 3, 3} -> {36, out / 16, in, 16}.
void transform_weights(const ConvolutionShape& shape, std::span<const float> weight, float* to);

struct WinogradLayer {
  const float* weights = nullptr;
  const float* bias = nullptr;   // {out}
  const float* zeros = nullptr;  // {>= in, >= 16}
};
void winograd(const ConvolutionArgs& args, const WinogradLayer& layer, Threads& threads, Isa isa, ConvolutionScratch& scratch);

}  // namespace verge::engine::cpu
