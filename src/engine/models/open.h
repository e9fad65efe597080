// A model on disk, read by its family: containers (engine/formats) know bytes and names as they are stored, families know what
// they mean.
#pragma once

#include <memory>
#include <string>

#include "engine/formats/model_file.h"
#include "support/error.h"

namespace verge::engine {

// open_container(), then the file as its family has it: configuration keys and tensor names are those that model_file.h
// lists, whatever the format. A GGUF file of an unknown architecture is left as it is, so that its vocabulary can be read.
// Errors: Io; LoadFailed naming the file and the key or tensor.
Result<std::shared_ptr<ModelFile>> open_model_file(const std::string& path);

}  // namespace verge::engine
