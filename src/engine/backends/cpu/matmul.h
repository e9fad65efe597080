// Linear layers. See Backend::linear and Backend::gated_linear for the contract.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/backends/cpu/isa.h"

namespace verge::engine::cpu {

class Threads;

// Grows and never shrinks; 64-byte aligned. Its contents are lost when it grows.
class Scratch {
 public:
  uint8_t* reserve(size_t bytes);

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t size_ = 0;
};

// Working memory of the calls of one backend, kept between them.
struct MatmulScratch {
  Scratch panels;                   // activations that the threads prepare together
  std::vector<Scratch> own_panels;  // or each for itself
};

void linear(const float* x, int n, RmsNorm norm, std::span<const LinearOutput> outputs, Threads& threads, Isa isa, MatmulScratch& scratch);
void gated_linear(const float* x, int n, RmsNorm norm, const Matrix& gate, const Matrix& up, Activation activation, float* y, Threads& threads,
                  Isa isa, MatmulScratch& scratch);

}  // namespace verge::engine::cpu
