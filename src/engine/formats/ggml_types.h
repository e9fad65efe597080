// ggml's numbers of tensor types, which GGUF and whisper.cpp's files share.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/tensor.h"

namespace verge::engine {

struct GgmlType {
  const char* name;           // null: the number is not known
  std::optional<DType> type;  // empty: not supported
};
GgmlType ggml_type(int64_t number);

}  // namespace verge::engine
