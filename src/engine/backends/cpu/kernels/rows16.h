// Sixteen rows of a group as one vector, whatever the width of the registers: the few operations
// of which the product kernels are made. Only kernels/*.cpp include this (see lanes.h).
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns inside its own AVX-512 header (bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wignored-attributes"
#endif

#ifndef VERGE_INLINE
#define VERGE_INLINE static inline __attribute__((always_inline))
#endif

namespace verge::engine::cpu::VERGE_ISA {

VERGE_INLINE int32_t load_i32(const void* p) {
  int32_t value;
  memcpy(&value, p, 4);
  return value;
}
VERGE_INLINE float load_f32(const void* p) {
  float value;
  memcpy(&value, p, 4);
  return value;
}

// Groups and columns whose sums a float product holds at once.
struct FloatBlock {
  int groups, columns;
};

}  // namespace verge::engine::cpu::VERGE_ISA

#if VERGE_ISA_avx512
#include "engine/backends/cpu/kernels/rows16_avx512.h"
#elif VERGE_ISA_avx2
#include "engine/backends/cpu/kernels/rows16_avx2.h"
#else
#include "engine/backends/cpu/kernels/rows16_base.h"
#endif
