// What a model is for, what it takes and whether a load could succeed, from headers only: no weight is read. For the node's
// ledger, and to refuse files before anything makes room for them.
#pragma once

#include <string>

#include "engine/backend.h"
#include "support/error.h"
#include "support/model_facts.h"

namespace verge::engine {

// `path`: what open() takes. Checks what a load checks before it reads weights: the architecture, that every tensor is there whole
// and of its shape, the tokenizer. Errors: Io; LoadFailed naming the file and what is wrong with it.
Result<ModelFacts> inspect(const std::string& path, Precision precision);

}  // namespace verge::engine
