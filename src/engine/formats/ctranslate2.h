// CTranslate2's folders of Whisper models (model.bin, config.json, vocabulary.txt or .json), as faster-whisper's users have them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "engine/formats/model_file.h"

namespace verge::engine {

// True where the bytes begin as a model.bin does.
bool is_ctranslate2(std::span<const std::byte> bytes);
// `folder` holds model.bin. Errors: LoadFailed naming file and variable, Io.
Result<std::shared_ptr<ModelFile>> open_ctranslate2(const std::string& folder);
// model.bin alone, into `file` (tensors under the hub's names, counts of layers and heads). The bytes must outlive it.
Result<> parse_ctranslate2(std::span<const std::byte> bytes, ModelFile* file);

}  // namespace verge::engine
