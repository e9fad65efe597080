#include "engine/models/parts/hub_tensors.h"

#include <algorithm>
#include <cstring>

#include "engine/formats/mapped_file.h"

namespace verge::engine {

Result<> place_hub_tensors(ModelFile& file, const std::function<std::optional<std::string>(std::string_view)>& name_of) {
  for (const auto& [hub_name, view] : file.hub_tensors) {
    const auto name = name_of(hub_name);
    if (!name) return fail(Code::LoadFailed, "{}: tensor '{}' is not known for {}", file.path, hub_name, file.architecture);
    if (name->empty()) continue;
    if (view.type != DType::F32 && view.type != DType::F16 && view.type != DType::BF16) {
      return fail(Code::LoadFailed, "{}: tensor '{}' {} is not of a floating-point type", file.path, hub_name, to_string(view));
    }
    if (!file.tensors.emplace(*name, view).second) return fail(Code::LoadFailed, "{}: two tensors are named '{}'", file.path, *name);
  }
  file.hub_tensors.clear();
  return {};
}

Result<> add_tensor(ModelFile& file, std::string_view name, std::span<const float> values) {
  TensorView view;
  view.rank = 1;
  view.shape[0] = static_cast<int64_t>(values.size());
  view.bytes = values.size_bytes();
  VERGE_ASSIGN(owned, MappedFile::allocate(view.bytes, file.path));
  std::memcpy(owned->owned_data(), values.data(), view.bytes);
  view.data = owned->owned_data();
  file.maps.push_back(std::move(owned));
  file.tensors.insert_or_assign(std::string(name), view);
  return {};
}

Result<> add_one(ModelFile& file, std::string_view ending) {
  constexpr size_t kAlign = 64;
  const auto room = [](const TensorView& view) { return (static_cast<size_t>(view.elements()) * sizeof(float) + kAlign - 1) / kAlign * kAlign; };
  size_t total = 0;
  for (const auto& [name, view] : file.tensors) total += name.ends_with(ending) ? room(view) : 0;
  if (total == 0) return {};
  VERGE_ASSIGN(owned, MappedFile::allocate(total, file.path));
  std::byte* at = owned->owned_data();
  for (auto& [name, view] : file.tensors) {
    if (!name.ends_with(ending)) continue;
    const TensorView source = view;
    auto* out = reinterpret_cast<float*>(at);
    dequantize(source, 0, source.elements(), out);
    std::for_each(out, out + source.elements(), [](float& w) { w += 1; });
    at += room(source);
    view.type = DType::F32;
    view.bytes = static_cast<size_t>(view.elements()) * sizeof(float);
    view.data = reinterpret_cast<const std::byte*>(out);
  }
  file.maps.push_back(std::move(owned));
  return {};
}

}  // namespace verge::engine
