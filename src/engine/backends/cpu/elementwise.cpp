#include "engine/backends/cpu/elementwise.h"

#include <cstring>

#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/kernels/norm.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

const NormKernels& kernels_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::norm_kernels : isa == Isa::Avx2 ? avx2::norm_kernels : base::norm_kernels;
}

}  // namespace

void gate(const float* gate, const float* up, int64_t count, Activation activation, float* y, Isa isa) {
  static_assert(static_cast<int>(Activation::Silu) == 0 && static_cast<int>(Activation::GeluTanh) == 1 &&
                static_cast<int>(Activation::GeluErf) == 2 && static_cast<int>(Activation::Relu) == 3);
  kernels_for(isa).gate(gate, up, count, static_cast<int>(activation), y);
}

void activate(float* x, int64_t count, Activation activation, Threads& threads, Isa isa) {
  const NormKernels& kernels = kernels_for(isa);
  threads.parallel_for(count, 8192, [&](int64_t begin, int64_t end) { kernels.activate(x + begin, end - begin, static_cast<int>(activation)); });
}

void softcap(float* x, int64_t count, float cap, Threads& threads, Isa isa) {
  const NormKernels& kernels = kernels_for(isa);
  threads.parallel_for(count, 16384, [&](int64_t begin, int64_t end) { kernels.softcap(x + begin, end - begin, cap); });
}

void gather_rows(const float* x, std::span<const int32_t> rows, int64_t dim, float* y) {
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(y + i * dim, x + rows[i] * dim, static_cast<size_t>(dim) * sizeof(float));
  }
}

}  // namespace verge::engine::cpu
