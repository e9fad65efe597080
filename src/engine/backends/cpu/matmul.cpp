#include "engine/backends/cpu/matmul.h"

#include "engine/backends/cpu/elementwise.h"
#include "engine/backends/cpu/norm.h"
#include "engine/backends/cpu/pack.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {

void linear(const float* x, int n, RmsNorm norm, std::span<const LinearOutput> outputs, Threads& threads, Isa isa, MatmulScratch& scratch) {
  const int64_t in = outputs[0].weight->in;
  if (norm.weight) {
    scratch.x.resize(static_cast<size_t>(n * in));
    threads.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) rms_norm_row(x + i * in, in, norm, scratch.x.data() + i * in, isa);
    });
    x = scratch.x.data();
  }
  for (const LinearOutput& output : outputs) {
    const auto& w = static_cast<const PackedMatrix&>(*output.weight);
    threads.parallel_for(w.out, 16, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t i = 0; i < n; ++i) {
          float sum[8] = {};
          int64_t j = 0;
          for (; j + 8 <= in; j += 8)
            for (int64_t l = 0; l < 8; ++l) sum[l] += w.values[static_cast<size_t>(o * in + j + l)] * x[i * in + j + l];
          for (; j < in; ++j) sum[0] += w.values[static_cast<size_t>(o * in + j)] * x[i * in + j];
          float value = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
          if (output.bias) value += output.bias[o];
          float& y = output.y[i * w.out + o];
          y = output.accumulate ? y + value : value;
        }
      }
    });
  }
}

void gated_linear(const float* x, int n, RmsNorm norm, const Matrix& gate_weight, const Matrix& up_weight, Activation activation, float* y,
                  Threads& threads, Isa isa, MatmulScratch& scratch) {
  scratch.up.resize(static_cast<size_t>(n * up_weight.out));
  const LinearOutput outputs[] = {{&gate_weight, nullptr, y, false}, {&up_weight, nullptr, scratch.up.data(), false}};
  linear(x, n, norm, outputs, threads, isa, scratch);
  threads.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    gate(y + begin * up_weight.out, scratch.up.data() + begin * up_weight.out, (end - begin) * up_weight.out, activation, y + begin * up_weight.out, isa);
  });
}

}  // namespace verge::engine::cpu
