// Embeddings as JSON.
#pragma once

#include <span>

#include "support/json.h"

namespace verge::api {

// Numbers with as many digits as tell an f32 apart, so that the same bits are the same text.
json::array to_json(std::span<const float> vector);

}  // namespace verge::api
