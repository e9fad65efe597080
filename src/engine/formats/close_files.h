// The end of reading a model's files.
#pragma once

#include <initializer_list>

#include "engine/formats/model_file.h"
#include "support/error.h"

namespace verge::engine {

// From here on nothing of the model is in its files, which may change: the bytes of `kept` move to memory of this process, the maps
// and all other tensors of `file` go. LoadFailed where there is no memory for them.
Result<void> close_files(ModelFile& file, std::initializer_list<TensorView*> kept);

}  // namespace verge::engine
