#include "protocol/tasks/text_embeddings.h"

#include <bit>
#include <cstring>

#include "protocol/tasks/fields.h"

namespace verge::protocol {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr EmbeddingPooling kPoolings[] = {EmbeddingPooling::Mean, EmbeddingPooling::Cls, EmbeddingPooling::Last};

struct Parameters {
  std::optional<std::string> query;
  std::vector<std::string> texts;
  std::optional<std::string> pooling;
  std::optional<bool> truncate;
  std::optional<int64_t> dimensions;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("query", self.query);
    visit("texts", self.texts);
    visit("pooling", self.pooling);
    visit("truncate", self.truncate);
    visit("dimensions", self.dimensions);
  }
};

struct Outcome {
  std::vector<int64_t> shape;  // texts, width
  std::string pooling;
  std::vector<double> scores;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("shape", self.shape);
    visit("pooling", self.pooling);
    visit("scores", self.scores);
  }
};

}  // namespace

const char* to_string(EmbeddingPooling pooling) {
  return pooling == EmbeddingPooling::Cls ? "cls" : pooling == EmbeddingPooling::Last ? "last" : "mean";
}

std::optional<EmbeddingPooling> embedding_pooling(std::string_view name) {
  for (EmbeddingPooling pooling : kPoolings)
    if (name == to_string(pooling)) return pooling;
  return std::nullopt;
}

json::object to_json(const EmbeddingParameters& p) {
  Parameters out{p.query, p.texts, std::nullopt, p.truncate, p.dimensions};
  if (p.pooling) out.pooling = to_string(*p.pooling);
  return write_fields(out);
}

verge::Result<EmbeddingParameters> embedding_parameters(const json::object& params) {
  VERGE_ASSIGN(read, read_fields<Parameters>(params));
  EmbeddingParameters out{std::move(read.query), std::move(read.texts), std::nullopt, read.truncate, read.dimensions};
  if (out.texts.empty()) return fail_at(Code::InvalidInput, "/texts", "'/texts' must hold at least one text");
  if (read.pooling) {
    out.pooling = embedding_pooling(*read.pooling);
    if (!out.pooling) return fail_at(Code::InvalidInput, "/pooling", "'/pooling' must be one of mean, cls, last");
  }
  if (out.dimensions && *out.dimensions < 1) return fail_at(Code::InvalidInput, "/dimensions", "'/dimensions' must be >= 1");
  return out;
}

Result to_result(const Embeddings& e) {
  Outcome out;
  out.scores = e.scores;
  if (!e.scores.empty()) return Result(write_fields(out));
  out.shape = {static_cast<int64_t>(e.count), static_cast<int64_t>(e.width)};
  out.pooling = to_string(e.pooling);
  return Result(write_fields(out), {"application/octet-stream", std::string(reinterpret_cast<const char*>(e.values.data()), e.values.size() * sizeof(float))});
}

verge::Result<Embeddings> embeddings(const Result& result) {
  const json::object* object = result.value.if_object();
  if (!object) return fail(Code::Internal, "the model's answer has no embeddings");
  VERGE_ASSIGN(read, read_fields<Outcome>(*object));
  Embeddings out;
  out.scores = std::move(read.scores);
  if (!out.scores.empty()) return out;
  const std::string& bytes = result.blob.bytes;
  const bool sized = read.shape.size() == 2 && read.shape[0] > 0 && read.shape[1] > 0 && read.shape[0] <= INT32_MAX && read.shape[1] <= INT32_MAX;
  if (!sized || static_cast<uint64_t>(read.shape[0]) * static_cast<uint64_t>(read.shape[1]) * sizeof(float) != bytes.size())
    return fail(Code::Internal, "the model's answer has {} bytes of vectors, not those of its shape", bytes.size());
  out.count = static_cast<size_t>(read.shape[0]);
  out.width = static_cast<size_t>(read.shape[1]);
  out.pooling = embedding_pooling(read.pooling).value_or(EmbeddingPooling::Mean);
  out.values.resize(out.count * out.width);
  std::memcpy(out.values.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace verge::protocol
