// A language model without a model, for `verge bench --null-engine`: everything around it (queue, batch,
// pages, sampling, text, sockets) can be measured as if the device took no time.
#pragma once

#include <memory>

#include "engine/model.h"

namespace verge::engine {

// Logits favour one id that follows from the last token; the rest are zero. It has no weights and no
// backend: backend() must not be called.
std::unique_ptr<LanguageModel> make_null_model(int64_t vocabulary, int context_tokens);

}  // namespace verge::engine
