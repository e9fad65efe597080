#include "api/tasks/vectors.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "support/base64.h"

namespace verge::api {

Vectors read_vectors(const json::value& result) {
  static_assert(std::endian::native == std::endian::little);
  Vectors out;
  const json::object* object = result.if_object();
  const json::array* shape = object ? get_array(*object, "shape") : nullptr;
  const auto data = object ? get_string(*object, "data") : std::nullopt;
  if (!shape || shape->size() != 2 || !data || !(*shape)[0].is_number() || !(*shape)[1].is_number()) return out;
  const auto bytes = base64_decode(*data);
  const auto count = static_cast<size_t>((*shape)[0].to_number<uint32_t>()), width = static_cast<size_t>((*shape)[1].to_number<uint32_t>());
  if (!bytes || bytes->size() != count * width * sizeof(float)) return out;
  out.count = count;
  out.width = width;
  out.values.resize(count * width);
  std::memcpy(out.values.data(), bytes->data(), bytes->size());
  return out;
}

json::array to_json(std::span<const float> vector) {
  json::array out;
  out.reserve(vector.size());
  for (float value : vector) {
    // The shortest decimal of the float, read as a double, prints as that decimal again.
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    double shortest = 0;
    std::from_chars(text, end, shortest);
    out.emplace_back(shortest);
  }
  return out;
}

}  // namespace verge::api
