// whisper.cpp's `ggml-*.bin` files (f32, f16, q4_0 … q8_0).
#pragma once

#include <memory>
#include <span>

#include "engine/formats/mapped_file.h"
#include "engine/formats/model_file.h"

namespace verge::engine {

bool is_whisper_bin(std::span<const std::byte> bytes);
// Errors: LoadFailed naming the file and the tensor.
Result<> parse_whisper_bin(std::span<const std::byte> bytes, ModelFile* file);  // the bytes must outlive it
Result<std::shared_ptr<ModelFile>> open_whisper_bin(std::shared_ptr<MappedFile> map);

}  // namespace verge::engine
