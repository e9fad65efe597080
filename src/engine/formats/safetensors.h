// One safetensors file: eight bytes of header length, a JSON header, the tensors' data.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "engine/tensor.h"
#include "support/error.h"

namespace verge::engine {

// Names and views into `bytes`. Views need not be aligned to their element size (old writers did not pad).
// Errors: LoadFailed naming `path` and the tensor.
Result<std::map<std::string, TensorView, std::less<>>> parse_safetensors(std::span<const std::byte> bytes, const std::string& path);

}  // namespace verge::engine
