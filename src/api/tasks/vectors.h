// Embeddings on their way from a worker's Result (base64 of f32, see worker/tasks/text_embeddings.h) to JSON.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "support/json.h"

namespace verge::api {

struct Vectors {
  size_t count = 0, width = 0;
  std::vector<float> values;  // {count, width}
  std::span<const float> row(size_t i) const { return std::span(values).subspan(i * width, width); }
};

// Nothing where the result is not of that form.
Vectors read_vectors(const json::value& result);

// Numbers with as many digits as tell an f32 apart, so that the same bits are the same text.
json::array to_json(std::span<const float> vector);

}  // namespace verge::api
