// The table of architectures: how files of each family are told, read and loaded. Each file x.cpp of this folder
// defines `std::span<const Architecture> x_architectures()`; the build lists the files (CMakeLists.txt), so
// a new family is a new file.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

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

struct HubFamily;  // models/decoder/hub.h

struct Architecture {
  const char* name;  // GGUF's general.architecture
  Result<std::unique_ptr<LanguageModel>> (*load)(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options);
  // The model as an encoder of texts, without its output matrix.
  Result<std::unique_ptr<Encoder>> (*load_encoder)(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options);
  // `backend` is asked for packed sizes only.
  Result<ModelNeed> (*need)(const ModelFile& file, const Backend& backend, Precision precision);
  const HubFamily* hub = nullptr;  // folders of the hub that are of this architecture; null = none
  // Brings the tensors of an opened file to the names and shapes that load() takes (fused projections are split); null = they
  // have them. Errors: LoadFailed naming the tensor.
  Result<> (*adopt)(ModelFile& file) = nullptr;
};

// All of them, family after family.
std::vector<const Architecture*> architectures();

// Fails with LoadFailed, naming the architectures there are.
Result<const Architecture*> find_architecture(const ModelFile& file);

}  // namespace verge::engine
