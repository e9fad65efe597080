// Which task a model is for, told from its files: small headers and configurations are read, no weight.
//   folder with config.json   by "architectures" and "model_type" (the hub's names)
//   folder with model.bin and a vocabulary beside it (CTranslate2), file with whisper.cpp's magic
//                             automatic-speech-recognition
//   GGUF file                 by general.architecture; a decoder whose rows are to be pooled is an embedder
//   torch checkpoint          image-classification: those of language models come with a config.json
#pragma once

#include <string>

#include "support/error.h"

namespace verge::engine {

// "text-generation", "text-embeddings", "text-classification", "image-classification", "object-detection",
// "automatic-speech-recognition". Files that say nothing of their task are taken for text-generation, whose
// loader names what is wrong with them. Errors: Io, LoadFailed.
Result<std::string> task_of(const std::string& path);

}  // namespace verge::engine
