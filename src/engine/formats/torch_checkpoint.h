// Checkpoints of torch.save (.pth, .pt, .th, pytorch_model.bin), both kinds: the zip archive of today and the older row of
// pickles. No code of the file is run (formats/pickle.h).
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/formats/mapped_file.h"
#include "engine/tensor.h"
#include "support/error.h"

namespace verge::engine {

bool is_torch_checkpoint(std::span<const std::byte> bytes);

// Tensors by name: of the dictionary itself, or of its "state_dict" or "model" where it has one; "module." in front of all
// names is taken off. Views need not be aligned. Tensors that don't lie row by row are copied into a buffer that
// `owned` keeps. Errors: LoadFailed naming `path` and the tensor.
using Tensors = std::map<std::string, TensorView, std::less<>>;
Result<Tensors> parse_torch_checkpoint(std::span<const std::byte> bytes, const std::string& path, std::vector<std::shared_ptr<MappedFile>>* owned);

}  // namespace verge::engine
