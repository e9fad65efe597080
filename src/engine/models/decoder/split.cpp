#include <string>

#include "engine/models/decoder/family.h"

namespace verge::engine {
namespace {

// Rows lie whole behind each other in every format, so a part is a view further on.
Result<> split_one(ModelFile& file, const std::string& name, size_t at, std::string_view fused, std::span<const Part> parts) {
  const TensorView whole = file.tensors.at(name);
  int64_t rows = 0;
  for (const Part& part : parts) rows += part.rows;
  if (whole.rank > 2 || whole.shape[0] != rows || rows < 1) {
    return fail(Code::LoadFailed, "{}: tensor '{}' is {}, expected {} rows", file.path, name, to_string(whole), rows);
  }
  file.tensors.erase(name);  // a part may have the same name
  const std::byte* data = whole.data;
  for (const Part& part : parts) {
    TensorView view = whole;
    view.shape[0] = part.rows;
    view.bytes = whole.bytes / static_cast<size_t>(rows) * static_cast<size_t>(part.rows);
    view.data = data;
    data += view.bytes;
    std::string to = name;
    to.replace(at, fused.size(), part.name);
    if (!file.tensors.emplace(to, view).second) return fail(Code::LoadFailed, "{}: both '{}' and '{}' are there", file.path, name, to);
  }
  return {};
}

}  // namespace

Result<> split_rows(ModelFile& file, std::string_view fused, std::span<const Part> parts) {
  std::vector<std::pair<std::string, size_t>> found;
  for (const auto& [name, view] : file.tensors) {
    if (!name.starts_with("blk.")) continue;
    const size_t dot = name.find('.', 4);
    if (dot == std::string::npos || !std::string_view(name).substr(dot + 1).starts_with(fused)) continue;
    const std::string_view ending = std::string_view(name).substr(dot + 1 + fused.size());
    if (ending == ".weight" || ending == ".bias") found.emplace_back(name, dot + 1);
  }
  for (const auto& [name, at] : found) VERGE_TRY(split_one(file, name, at, fused, parts));
  return {};
}

}  // namespace verge::engine
