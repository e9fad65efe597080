// What sentence-transformers keeps beside a model: how its rows become one vector.
#pragma once

#include <string>
#include <vector>

#include "engine/formats/model_file.h"
#include "support/error.h"

namespace verge::engine {

// A dense layer behind the pooling; its weights "linear.weight" and "linear.bias" lie in a folder of their own.
struct DenseModule {
  int index = 0;       // in modules.json: the layer's tensors are to be named dense_INDEX
  std::string folder;
};

// From modules.json, the Pooling module's config.json and sentence_bert_config.json, where they are, into file->meta:
//   pooling_type 1 mean, 2 cls, 3 last token (GGUF's numbers); pooling.normalize; max_sequence_length (tokens, special
//   ones included); dense_N.activation "identity" | "tanh"
// Gives the dense layers, in order. Errors: LoadFailed naming file and module, for an order or a module that is not served.
Result<std::vector<DenseModule>> read_sentence_files(const std::string& folder, ModelFile* file);

}  // namespace verge::engine
