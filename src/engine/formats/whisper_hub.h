// Whisper in the hub's layout: config.json, generation_config.json, model.safetensors, tokenizer.json.
#pragma once

#include <memory>
#include <string>

#include "engine/formats/model_file.h"
#include "support/json.h"

namespace verge::engine {

// Fills in what the folder says beside its weights; `file->tensors` has the hub's names already. Errors: LoadFailed.
Result<> read_whisper_hub(const std::string& folder, const json::object& config, ModelFile* file);

}  // namespace verge::engine
