#include "engine/formats/shape_check.h"

#include "support/limits.h"

namespace verge::engine {

Result<TensorView> checked_view(DType type, std::span<const uint64_t> dims, const std::string& tensor, const std::string& path) {
  // 2^56 elements of 8 bytes stay within int64 for every byte count computed from them later.
  constexpr uint64_t kElementsMax = uint64_t{1} << 56;
  if (dims.size() > static_cast<size_t>(limits::kTensorDims)) {
    return fail(Code::LoadFailed, "{}: tensor '{}' has {} dimensions, limit {}", path, tensor, dims.size(), limits::kTensorDims);
  }
  TensorView view;
  view.type = type;
  view.rank = static_cast<int>(dims.size());
  uint64_t elements = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0) return fail(Code::LoadFailed, "{}: tensor '{}' has a dimension of size 0", path, tensor);
    if (dims[i] > kElementsMax / elements) return fail(Code::LoadFailed, "{}: tensor '{}' has too many elements", path, tensor);
    elements *= dims[i];
    view.shape[i] = static_cast<int64_t>(dims[i]);
  }
  const DTypeInfo& layout = info(type);
  const uint64_t row = dims.empty() ? 1 : dims.back(), block = static_cast<uint64_t>(layout.block);
  if (row % block != 0) {
    return fail(Code::LoadFailed, "{}: tensor '{}' has rows of {} elements, not a multiple of {}'s block of {}", path, tensor, row, layout.name, block);
  }
  view.bytes = elements / block * static_cast<uint64_t>(layout.block_bytes);
  return view;
}

}  // namespace verge::engine
