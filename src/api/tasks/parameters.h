// What becomes of each parameter that a client may send: it is met, refused by name, or accepted because it cannot
// change the answer. A name that no table has is ignored, and said to be: the answer's header `verge-ignored` lists it.
//
// docs/api.md prints these tables ("Every parameter"); tests/api/parameters_test.cpp compares the two and sends each
// parameter to each route.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace verge::api {

// The bodies that clients send, each with parameters of its own.
enum class Surface {
  NativeText,
  Chat,         // /v1/chat/completions
  Completions,  // /v1/completions
  Responses,    // /v1/responses
  Messages,     // /v1/messages
  NativeEmbeddings,
  NativeClassification,  // and reranking
  Embeddings,            // /v1/embeddings
  NativeSpeech,
  Transcriptions,  // and translations
  NativePictures,
  NativeSpeaking,
  Speech,  // /v1/audio/speech
  RunOptions,  // `options` beside a model's inputs
};

enum class Fate { Met, Refused, Accepted };

struct Parameter {
  std::string_view name;
  Fate fate;
  // Of a refused one: the values that ask for nothing, besides null. Null where there are none.
  bool (*asks_nothing)(const json::value& value);
  std::string_view hint;  // of the refusal: what to do instead
};

std::vector<Parameter> parameters(Surface surface);

// UnsupportedParameter for the first that is refused and asks for something; else the names that no table has.
Result<std::vector<std::string>> check_parameters(Surface surface, const json::object& body);

}  // namespace verge::api
