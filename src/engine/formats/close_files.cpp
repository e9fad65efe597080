#include "engine/formats/close_files.h"

#include <cstring>
#include <utility>

#include "engine/formats/mapped_file.h"

namespace verge::engine {

Result<void> close_files(ModelFile& file, std::initializer_list<TensorView*> kept) {
  constexpr size_t kAlign = 64;
  const auto room = [](const TensorView& tensor) { return (tensor.bytes + kAlign - 1) / kAlign * kAlign; };
  size_t total = 0;
  for (const TensorView* tensor : kept) total += room(*tensor);
  VERGE_ASSIGN(owned, MappedFile::allocate(total, file.path));
  std::byte* at = owned->owned_data();
  for (TensorView* tensor : kept) {
    if (tensor->bytes > 0) std::memcpy(at, tensor->data, tensor->bytes);
    tensor->data = at;
    at += room(*tensor);
  }
  file.tensors.clear();
  file.maps.clear();
  file.maps.push_back(std::move(owned));
  return {};
}

}  // namespace verge::engine
