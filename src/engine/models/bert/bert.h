// BERT (Devlin et al. 2019) and those that differ from it in names and heads only: RoBERTa, XLM-R, DistilBERT,
// MiniLM, BGE, and GGUF files of architecture "bert".
#pragma once

#include <memory>

#include "engine/encoder.h"
#include "engine/models/table.h"

namespace verge::engine {

bool is_bert(const ModelFile& file);
Result<std::unique_ptr<Encoder>> load_bert(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options);
// As Architecture::need.
Result<ModelNeed> bert_need(const ModelFile& file, const Backend& backend, Precision precision);

}  // namespace verge::engine
