// GGUF versions 2 and 3, little-endian, in one file or split into parts.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "engine/formats/model_file.h"
#include "support/error.h"

namespace verge::engine {

bool is_gguf(std::span<const std::byte> bytes);

// Parses one file's bytes into `file`: meta with the keys as written, tensors as views into `bytes`.
// Fails on a tensor that `file` already holds. `path` is for messages.
Result<> parse_gguf(std::span<const std::byte> bytes, const std::string& path, ModelFile* file);

// A whole model; further parts ("…-00002-of-00004.gguf") are found beside the first.
Result<std::shared_ptr<ModelFile>> open_gguf(std::shared_ptr<MappedFile> first);

}  // namespace verge::engine
