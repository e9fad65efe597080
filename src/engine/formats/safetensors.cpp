// Source of the layout: https://github.com/huggingface/safetensors, "Format". The header's length is compared
// with the file's and with a limit before its JSON is parsed; every tensor must lie inside the data, have exactly the
// bytes that dtype and shape ask for, and share none with another.
#include "engine/formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/formats/shape_check.h"
#include "support/json.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr std::pair<std::string_view, DType> kTypes[] = {
    {"F32", DType::F32}, {"F16", DType::F16}, {"BF16", DType::BF16}, {"I8", DType::I8},
    {"I16", DType::I16}, {"I32", DType::I32}, {"I64", DType::I64},
};

// A number of the header as uint64; nullopt for negative, fractional or huge ones.
std::optional<uint64_t> unsigned_integer(const json::value& value) {
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<uint64_t>(value.get_int64());
  if (value.is_uint64()) return value.get_uint64();
  return std::nullopt;
}

std::optional<std::vector<uint64_t>> unsigned_integers(const json::object& object, std::string_view key, size_t limit) {
  const json::array* array = get_array(object, key);
  if (!array || array->size() > limit) return std::nullopt;
  std::vector<uint64_t> values;
  for (const json::value& item : *array) {
    const auto value = unsigned_integer(item);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

// Members of the outermost object of a valid JSON text. Boost.JSON keeps the last of equal keys, so their number tells
// whether a name was repeated.
size_t count_members(std::string_view text) {
  size_t members = 0, depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == ':' && depth == 1) {
      ++members;
    }
  }
  return members;
}

// One entry {"dtype": …, "shape": […], "data_offsets": [begin, end]}, offsets relative to `data`.
Result<TensorView> read_tensor(const json::value& entry, std::span<const std::byte> data, const std::string& name, const std::string& path) {
  const json::object* object = entry.if_object();
  if (!object) return fail(Code::LoadFailed, "{}: tensor '{}' is not described by an object", path, name);
  const auto dtype = get_string(*object, "dtype");
  if (!dtype) return fail(Code::LoadFailed, "{}: tensor '{}' has no dtype", path, name);
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& t) { return t.first == *dtype; });
  if (type == std::end(kTypes)) {
    return fail(Code::LoadFailed, "{}: tensor '{}' is of dtype {}, which is not supported", path, name, dtype->substr(0, 32));
  }
  const auto shape = unsigned_integers(*object, "shape", limits::kTensorDims);
  if (!shape) return fail(Code::LoadFailed, "{}: tensor '{}' has a bad shape (at most {} sizes)", path, name, limits::kTensorDims);
  const auto offsets = unsigned_integers(*object, "data_offsets", 2);
  if (!offsets || offsets->size() != 2) return fail(Code::LoadFailed, "{}: tensor '{}' has bad data_offsets", path, name);
  VERGE_ASSIGN(view, checked_view(type->second, *shape, name, path));
  const uint64_t begin = (*offsets)[0], end = (*offsets)[1];
  if (begin > end || end > data.size()) {
    return fail(Code::LoadFailed, "{}: tensor '{}' at [{}, {}) goes past the end of {} bytes of data (truncated?)", path, name, begin, end, data.size());
  }
  if (end - begin != view.bytes) {
    return fail(Code::LoadFailed, "{}: tensor '{}' {} needs {} bytes, has {}", path, name, to_string(view), view.bytes, end - begin);
  }
  view.data = data.data() + begin;
  return view;
}

}  // namespace

Result<std::map<std::string, TensorView, std::less<>>> parse_safetensors(std::span<const std::byte> bytes, const std::string& path) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return fail(Code::LoadFailed, "{}: too short for a safetensors file", path);
  std::memcpy(&length, bytes.data(), sizeof(length));
  const auto rest = bytes.subspan(sizeof(length));
  if (length > limits::kSafetensorsHeaderBytes) {
    return fail(Code::LoadFailed, "{}: not safetensors, or a header of {} bytes, limit {}", path, length, limits::kSafetensorsHeaderBytes);
  }
  if (length > rest.size()) return fail(Code::LoadFailed, "{}: truncated: a header of {} bytes goes past the end", path, length);
  constexpr size_t kDepth = 4;  // tensors, tensor, shape: 3
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), length);
  auto header = parse_json(text, kDepth);
  if (!header) return fail(Code::LoadFailed, "{}: bad header: {}", path, header.error().message);
  const json::object* entries = header->if_object();
  if (!entries) return fail(Code::LoadFailed, "{}: the header is not an object", path);
  if (entries->size() > limits::kTensorCount) return fail(Code::LoadFailed, "{}: {} tensors, limit {}", path, entries->size(), limits::kTensorCount);
  if (count_members(text) != entries->size()) return fail(Code::LoadFailed, "{}: a tensor name appears twice", path);

  std::map<std::string, TensorView, std::less<>> tensors;
  std::vector<std::pair<TensorView, std::string>> placed;
  for (const auto& entry : *entries) {
    const std::string name(entry.key());
    if (name == "__metadata__") continue;
    const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c >= 32 && c < 127; });
    if (name.empty() || name.size() > limits::kTensorNameBytes || !printable) {
      return fail(Code::LoadFailed, "{}: a tensor name is empty, too long or not printable ASCII", path);
    }
    VERGE_ASSIGN(view, read_tensor(entry.value(), rest.subspan(length), name, path));
    tensors.emplace(name, view);
    placed.emplace_back(view, name);
  }
  std::sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first.data < b.first.data; });
  for (size_t i = 1; i < placed.size(); ++i) {
    if (placed[i - 1].first.data + placed[i - 1].first.bytes > placed[i].first.data) {
      return fail(Code::LoadFailed, "{}: tensors '{}' and '{}' overlap", path, placed[i - 1].second, placed[i].second);
    }
  }
  return tensors;
}

}  // namespace verge::engine
