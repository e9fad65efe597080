// Function table of the norm and activation kernels, one per instruction set.
#pragma once

#include <stdint.h>

namespace verge::engine::cpu {

struct NormKernels {
  // x += y / sqrt(mean(y²) + eps) * weight.
  void (*add_rms_norm)(float* x, const float* y, int64_t dim, const float* weight, float eps);
  void (*add)(float* x, const float* y, int64_t count);
  // y = activation(gate) * up; activation 0 SiLU, 1 GELU by tanh, 2 GELU by erf, 3 ReLU.
  void (*gate)(const float* gate, const float* up, int64_t count, int activation, float* y);
  // y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias; y may be x.
  void (*layer_norm)(const float* x, int64_t dim, const float* weight, const float* bias, float eps, float* y);
  // x = activation(x), numbered as for gate.
  void (*activate)(float* x, int64_t count, int activation);
  // x = cap * tanh(x / cap).
  void (*softcap)(float* x, int64_t count, float cap);
};

namespace base { extern const NormKernels norm_kernels; }
namespace avx2 { extern const NormKernels norm_kernels; }
namespace avx512 { extern const NormKernels norm_kernels; }

}  // namespace verge::engine::cpu
