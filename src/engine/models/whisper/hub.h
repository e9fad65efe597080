// Whisper in the hub's layout: config.json, generation_config.json, model.safetensors, tokenizer.json.
#pragma once

#include "engine/formats/model_file.h"

namespace verge::engine {

// What the folder says beside its weights becomes metadata (formats/whisper_parts.h lists the keys); its tensors keep the
// hub's names. Errors: LoadFailed naming the file and the key.
Result<> read_whisper_hub(ModelFile* file);

}  // namespace verge::engine
