// Text embeddings between api and worker: a vector a text, or with a query how close each text is to it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/event.h"

namespace verge::protocol {

enum class EmbeddingPooling { Mean, Cls, Last };

struct EmbeddingParameters {
  std::optional<std::string> query;  // the answer is scores instead of vectors
  std::vector<std::string> texts;    // at least one
  std::optional<EmbeddingPooling> pooling;  // none: the model's own
  std::optional<bool> truncate;             // false: a text past the model's length is ContextOverflow; none: true
  std::optional<int64_t> dimensions;        // the first so many numbers of each vector, >= 1, brought to length 1 again
  bool operator==(const EmbeddingParameters&) const = default;
};
json::object to_json(const EmbeddingParameters& parameters);
verge::Result<EmbeddingParameters> embedding_parameters(const json::object& params);

// Either vectors, whose numbers travel as raw little-endian f32, or scores.
struct Embeddings {
  size_t count = 0, width = 0;
  std::vector<float> values;  // {count, width}
  EmbeddingPooling pooling = EmbeddingPooling::Mean;
  std::vector<double> scores;  // cosine of the query and each text
  std::span<const float> row(size_t i) const { return std::span(values).subspan(i * width, width); }
  bool operator==(const Embeddings&) const = default;
};
Result to_result(const Embeddings& embeddings);
verge::Result<Embeddings> embeddings(const Result& result);

const char* to_string(EmbeddingPooling pooling);  // "mean", "cls", "last"
std::optional<EmbeddingPooling> embedding_pooling(std::string_view name);

}  // namespace verge::protocol
