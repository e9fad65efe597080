// The normalizers of tokenizer.json.
#pragma once

#include <memory>

#include "engine/tokenizers/text_model.h"
#include "support/json.h"

namespace verge::engine {

// LoadFailed names a normalizer that is not known.
Result<std::unique_ptr<Normalizer>> make_json_normalizer(const json::object& component, int depth = 0);

}  // namespace verge::engine
