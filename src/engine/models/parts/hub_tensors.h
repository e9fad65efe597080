// What families do with the weights of a folder in the hub's layout.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/formats/model_file.h"

namespace verge::engine {

// Moves file.hub_tensors to file.tensors under the names that `name_of` gives: "" = known and of no use here, nullopt =
// unknown. Errors: LoadFailed naming a tensor that is unknown, not of a floating-point type, or there twice.
Result<> place_hub_tensors(ModelFile& file, const std::function<std::optional<std::string>(std::string_view)>& name_of);

// A tensor of the family's own making, {count} f32, beside the file's. The file owns the bytes.
Result<> add_tensor(ModelFile& file, std::string_view name, std::span<const float> values);

// The tensors whose names end with `ending`, replaced by f32 ones with 1 added to each value (Gemma's norms).
Result<> add_one(ModelFile& file, std::string_view ending);

}  // namespace verge::engine
