// The pre-tokenizers of tokenizer.json.
#pragma once

#include <memory>

#include "engine/tokenizers/text_model.h"
#include "support/json.h"

namespace verge::engine {

struct JsonSplitter {
  std::unique_ptr<Splitter> splitter;  // null: the text is one word
  bool byte_words = false;             // ByteLevel came last and was left to the model: words are plain bytes
};

// LoadFailed names a pre-tokenizer that is not known. `bytes_allowed`: the model can take byte words.
Result<JsonSplitter> make_json_splitter(const json::object& component, bool bytes_allowed);

}  // namespace verge::engine
