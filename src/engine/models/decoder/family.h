// A family of decoders: what its files are called, how they are read, and what is fused in them. The rest of this folder does
// the arithmetic. A family is one file models/x.cpp with a list of these; see models/table.h.
#pragma once

#include <memory>
#include <string_view>

#include "engine/models/decoder/config.h"
#include "engine/models/decoder/hub.h"
#include "engine/models/table.h"

namespace verge::engine {

// Errors of all: LoadFailed naming the file and the key or tensor.
Result<std::unique_ptr<LanguageModel>> load_decoder(std::shared_ptr<ModelFile> file, const DecoderConfig& config, Backend& backend, const LoadOptions& options);
// The same layers as an encoder: rows of all tokens after the last norm, no output matrix.
Result<std::unique_ptr<Encoder>> load_decoder_encoder(std::shared_ptr<ModelFile> file, const DecoderConfig& config, Backend& backend, const LoadOptions& options);
Result<ModelNeed> decoder_need(const ModelFile& file, const DecoderConfig& config, const Backend& backend, Precision precision);

// A table entry: GGUF's name, the configuration from a file's metadata, and, where the family has them, the hub's class and what
// is to be done to a file's tensors before they are read by name.
template <Result<DecoderConfig> (*read)(const ModelFile&)>
Architecture decoder_family(const char* name, const HubFamily* hub = nullptr, Result<> (*adopt)(ModelFile&) = nullptr) {
  return {name,
          [](std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options) -> Result<std::unique_ptr<LanguageModel>> {
            VERGE_ASSIGN(config, read(*file));
            return load_decoder(std::move(file), config, backend, options);
          },
          [](std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options) -> Result<std::unique_ptr<Encoder>> {
            VERGE_ASSIGN(config, read(*file));
            return load_decoder_encoder(std::move(file), config, backend, options);
          },
          [](const ModelFile& file, const Backend& backend, Precision precision) -> Result<ModelNeed> {
            VERGE_ASSIGN(config, read(file));
            return decoder_need(file, config, backend, precision);
          },
          hub, adopt};
}

// Splits tensor `fused` {sum of rows, columns} of each layer blk.N into parts of the given rows, in order, each with the
// ending of the fused one (".weight", ".bias"). Layers that lack it are left alone. Errors: LoadFailed where the rows are others.
struct Part {
  std::string_view name;
  int64_t rows;
};
Result<> split_rows(ModelFile& file, std::string_view fused, std::span<const Part> parts);

}  // namespace verge::engine
