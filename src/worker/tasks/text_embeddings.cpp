#include "worker/tasks/text_embeddings.h"

#include <bit>
#include <optional>

#include "support/base64.h"
#include "worker/tasks/encoder_task.h"

namespace verge::worker {
namespace {

using engine::Pooling;

const char* name_of(Pooling pooling) { return pooling == Pooling::Cls ? "cls" : pooling == Pooling::Last ? "last" : "mean"; }

Result<Pooling> read_pooling(const json::object& params, Pooling own) {
  const auto name = get_string(params, "pooling");
  if (!name) return own;
  for (Pooling pooling : {Pooling::Mean, Pooling::Cls, Pooling::Last})
    if (*name == name_of(pooling)) return pooling;
  return fail(Code::InvalidInput, "'/pooling' must be one of mean, cls");
}

struct EmbeddingWork : EncoderWork {
  Pooling pooling = Pooling::Mean;
  bool normalize = true, scores = false;  // scores: item 0 is the query
  int64_t width = 0;
  std::vector<float> vectors;  // {items, width}

  std::span<const float> vector(size_t i) const { return std::span(vectors).subspan(i * static_cast<size_t>(width), static_cast<size_t>(width)); }

  Result<json::value> answer() override {
    if (scores) {
      json::array list;
      for (size_t i = 1; i < texts.size(); ++i) {
        double dot = 0;
        for (size_t k = 0; k < static_cast<size_t>(width); ++k) dot += static_cast<double>(vector(0)[k]) * vector(i)[k];
        list.emplace_back(dot);
      }
      return json::value(json::object{{"scores", std::move(list)}});
    }
    static_assert(std::endian::native == std::endian::little);
    const std::string_view bytes(reinterpret_cast<const char*>(vectors.data()), vectors.size() * sizeof(float));
    return json::value(json::object{{"shape", {texts.size(), width}}, {"data", base64_encode(bytes)}, {"pooling", name_of(pooling)}});
  }
};

class TextEmbeddings final : public EncoderTask {
 public:
  using EncoderTask::EncoderTask;
  const char* task() const override { return "text-embeddings"; }

  Result<std::unique_ptr<Work>> prepare(const protocol::Request& request) override {
    const json::object& params = request.params;
    VERGE_ASSIGN(texts, texts_of(params));
    auto work = std::make_unique<EmbeddingWork>();
    VERGE_ASSIGN(pooling, read_pooling(params, encoder().pooling));
    work->pooling = pooling;
    work->width = encoder().projection.width();
    if (const auto dimensions = get_int(params, "dimensions")) {
      if (*dimensions < 1 || *dimensions > work->width) return fail(Code::InvalidInput, "'/dimensions' must be >= 1 and <= {}", work->width);
      work->width = *dimensions;
    }
    const auto query = get_string(params, "query");
    work->scores = query.has_value();
    work->normalize = encoder().normalize || work->scores || work->width != encoder().projection.width();
    const bool truncate = get_bool(params, "truncate").value_or(true);
    if (query) VERGE_TRY(add(*work, *query, truncate));
    for (std::string_view text : texts) VERGE_TRY(add(*work, text, truncate));
    work->vectors.resize(work->texts.size() * static_cast<size_t>(work->width));
    return std::unique_ptr<Work>(std::move(work));
  }

 protected:
  void take(const BatchItem& item, const float* rows) override {
    const auto& work = *static_cast<const EmbeddingWork*>(item.work);
    const int64_t width = encoder().model->info().width;
    const size_t at = pooled_.size();
    pooled_.resize(at + static_cast<size_t>(width));
    engine::pool(rows, static_cast<int>(work.texts[static_cast<size_t>(item.index)].ids.size()), width, work.pooling, false, pooled_.data() + at);
  }

  void finish(std::span<const BatchItem> batch, std::span<const engine::EncoderText>, const float*) override {
    const float* vector = projection().apply(pooled_.data(), static_cast<int>(batch.size()));
    for (const BatchItem& item : batch) {
      auto& work = *static_cast<EmbeddingWork*>(item.work);
      float* out = work.vectors.data() + static_cast<size_t>(item.index) * static_cast<size_t>(work.width);
      engine::pool(vector, 1, work.width, Pooling::Cls, work.normalize, out);  // one row's first numbers
      vector += projection().width();
    }
    pooled_.clear();
  }

 private:
  Result<void> add(EmbeddingWork& work, std::string_view text, bool truncate) const {
    engine::LoadedEncoder::Tokens tokens = encoder().tokens_of(text);
    if (tokens.truncated() && !truncate) {
      Error error = fail(Code::ContextOverflow, "a text has {} tokens and more, this model reads {}", tokens.whole, encoder().max_tokens);
      error.requested = tokens.whole;
      error.limit = encoder().max_tokens;
      return error;
    }
    work.add(std::move(tokens));
    return {};
  }

  std::vector<float> pooled_;  // of the engine's thread: {items of the batch, width}
};

}  // namespace

Result<std::unique_ptr<ModelService>> open_text_embeddings(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options) {
  VERGE_ASSIGN(opened, open_encoder(host));
  return serve_encoder(std::move(io), std::make_unique<TextEmbeddings>(std::move(opened.backend), std::move(opened.encoder)), std::move(options));
}

}  // namespace verge::worker
