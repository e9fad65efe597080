// Linear layers. See Backend::linear and Backend::gated_linear for the contract.
#pragma once

#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/backends/cpu/isa.h"

namespace verge::engine::cpu {

class Threads;

// Working memory of the calls of one backend, kept between them.
struct MatmulScratch {
  std::vector<float> x, gate, up;
};

void linear(const float* x, int n, RmsNorm norm, std::span<const LinearOutput> outputs, Threads& threads, Isa isa, MatmulScratch& scratch);
void gated_linear(const float* x, int n, RmsNorm norm, const Matrix& gate, const Matrix& up, Activation activation, float* y, Threads& threads,
                  Isa isa, MatmulScratch& scratch);

}  // namespace verge::engine::cpu
