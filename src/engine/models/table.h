// The table of architectures: GGUF's name -> how to load a model of it. Each file x.cpp of this folder
// defines `std::span<const Architecture> x_architectures()`; the build lists the files (CMakeLists.txt), so
// a new model is a new file.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "engine/encoder.h"
#include "engine/formats/model_file.h"
#include "engine/model.h"

namespace verge::engine {

// Bytes that a model would hold, told from names, types and shapes alone.
struct ModelNeed {
  size_t weights = 0;       // repacked matrices and vectors
  size_t kv_per_token = 0;  // with the default cache type
  size_t scratch = 0;       // activations of a full step
  int context_tokens = 0;
};

struct Architecture {
  const char* name;
  Result<std::unique_ptr<LanguageModel>> (*load)(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options);
  // The model as an encoder of texts, without its output matrix.
  Result<std::unique_ptr<Encoder>> (*load_encoder)(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options);
  // `backend` is asked for packed sizes only.
  Result<ModelNeed> (*need)(const ModelFile& file, const Backend& backend, Precision precision);
};

// Fails with LoadFailed, naming the architectures there are.
Result<const Architecture*> find_architecture(const ModelFile& file);

}  // namespace verge::engine
