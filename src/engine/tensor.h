// Tensors as they lie in a model file: a name, a type, a shape, bytes owned by someone else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace verge::engine {

// Storage types. The quantised ones are GGUF's; block layouts in formats/quantized.h.
enum class DType : uint8_t {
  F32, F16, BF16, I8, I16, I32, I64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, Q2_K, Q3_K, IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S,
  IQ3_XXS, IQ3_S, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0, MXFP4
};
inline constexpr int kDTypes = 29;

struct DTypeInfo {
  const char* name;
  int block;        // elements of one block (1 for plain types)
  int block_bytes;  // bytes of one block
};
const DTypeInfo& info(DType type);

// A matrix or vector in a mapped file. shape[0] is the slowest dimension: a linear layer's weight
// is {out, in}, as in PyTorch (GGUF's dimension order is reversed on reading).
struct TensorView {
  DType type = DType::F32;
  int rank = 0;
  std::array<int64_t, 4> shape{1, 1, 1, 1};
  const std::byte* data = nullptr;  // valid while the file's owner lives
  size_t bytes = 0;

  int64_t elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
  int64_t rows() const { return rank < 2 ? 1 : shape[0]; }
  int64_t columns() const { return rank == 0 ? 1 : rank == 1 ? shape[0] : shape[1] * shape[2] * shape[3]; }
};

std::string to_string(const TensorView& tensor);  // "Q4_0 {2048, 2048}", for messages

// Expands `count` elements from element `first` (a multiple of the block) to f32. The scalar
// reference that every kernel is tested against; exact per the GGUF block definitions.
void dequantize(const TensorView& tensor, int64_t first, int64_t count, float* out);

}  // namespace verge::engine
