// Model folders in the hub's layout: config.json, safetensors, tokenizer files.
#pragma once

#include <memory>
#include <string>

#include "engine/formats/model_file.h"
#include "support/error.h"

namespace verge::engine {

// The folder as it is stored: file->config, file->hub_tensors and tokenizer material; `folder` holds config.json and model.safetensors, or shards with model.safetensors.index.json.
// Errors: LoadFailed naming file and key or tensor, Io.
Result<std::shared_ptr<ModelFile>> open_hub(const std::string& folder);

}  // namespace verge::engine
