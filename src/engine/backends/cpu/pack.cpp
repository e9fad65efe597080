#include "engine/backends/cpu/pack.h"

#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {

Result<std::unique_ptr<Matrix>> pack(const TensorView& weight, Precision, Threads& threads) {
  const DTypeInfo& type = info(weight.type);
  const int64_t out = weight.rows(), in = weight.columns();
  if (in % type.block != 0) return fail(Code::LoadFailed, "{}: {} columns are no multiple of the block of {}", to_string(weight), in, type.block);
  auto matrix = std::make_unique<PackedMatrix>();
  matrix->out = out;
  matrix->in = in;
  matrix->type = weight.type;
  matrix->values.resize(static_cast<size_t>(out * in));
  matrix->bytes = matrix->values.size() * sizeof(float);
  threads.parallel_for(out, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) dequantize(weight, row * in, in, matrix->values.data() + row * in);
  });
  return std::unique_ptr<Matrix>(std::move(matrix));
}

size_t packed_bytes(DType, int64_t out, int64_t in, Precision) { return static_cast<size_t>(out * in) * sizeof(float); }

}  // namespace verge::engine::cpu
