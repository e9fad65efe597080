#include "api/tasks/vectors.h"

#include <charconv>

namespace verge::api {

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
