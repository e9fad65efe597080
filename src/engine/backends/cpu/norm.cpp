#include "engine/backends/cpu/norm.h"

#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/kernels/norm.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

const NormKernels& kernels_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::norm_kernels : isa == Isa::Avx2 ? avx2::norm_kernels : base::norm_kernels;
}

}  // namespace

void add_norm(float* x, const float* y, int n, int64_t dim, RmsNorm norm, Threads& threads, Isa isa) {
  const NormKernels& kernels = kernels_for(isa);
  const auto row = [&](int64_t i) {
    float* to = x + i * dim;
    const float* from = y + i * dim;
    norm.weight ? kernels.add_rms_norm(to, from, dim, norm.weight, norm.eps) : kernels.add(to, from, dim);
  };
  threads.parallel_for(n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) row(i);
  });
}

void layer_norm(const float* x, int n, int64_t dim, LayerNorm norm, float* y, Threads& threads, Isa isa) {
  const NormKernels& kernels = kernels_for(isa);
  threads.parallel_for(n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels.layer_norm(x + i * dim, dim, norm.weight, norm.bias, norm.eps, y + i * dim);
  });
}

}  // namespace verge::engine::cpu
