#include "worker/tasks/text_embeddings.h"

#include "protocol/tasks/text_embeddings.h"
#include "worker/tasks/encoder_task.h"

namespace verge::worker {
namespace {

using engine::Pooling;

Pooling engine_pooling(protocol::EmbeddingPooling pooling) {
  switch (pooling) {
    case protocol::EmbeddingPooling::Mean: return Pooling::Mean;
    case protocol::EmbeddingPooling::Cls: return Pooling::Cls;
    case protocol::EmbeddingPooling::Last: return Pooling::Last;
  }
  return Pooling::Mean;
}

protocol::EmbeddingPooling told(Pooling pooling) {
  if (pooling == Pooling::Cls) return protocol::EmbeddingPooling::Cls;
  return pooling == Pooling::Last ? protocol::EmbeddingPooling::Last : protocol::EmbeddingPooling::Mean;
}

struct EmbeddingWork : EncoderWork {
  Pooling pooling = Pooling::Mean;
  bool normalize = true, scores = false;  // scores: item 0 is the query
  int64_t width = 0;
  std::vector<float> vectors;  // {items, width}

  std::span<const float> vector(size_t i) const { return std::span(vectors).subspan(i * static_cast<size_t>(width), static_cast<size_t>(width)); }

  Result<protocol::Result> answer() override {
    protocol::Embeddings out;
    if (!scores) {
      out.count = texts.size();
      out.width = static_cast<size_t>(width);
      out.values = std::move(vectors);
      out.pooling = told(pooling);
      return protocol::to_result(out);
    }
    for (size_t i = 1; i < texts.size(); ++i) {
      double dot = 0;
      for (size_t k = 0; k < static_cast<size_t>(width); ++k) dot += static_cast<double>(vector(0)[k]) * vector(i)[k];
      out.scores.push_back(dot);
    }
    return protocol::to_result(out);
  }
};

class TextEmbeddings final : public EncoderTask {
 public:
  using EncoderTask::EncoderTask;
  const char* task() const override { return "text-embeddings"; }

  Result<std::unique_ptr<Work>> prepare(const protocol::Request& request) override {
    VERGE_ASSIGN(asked, protocol::embedding_parameters(request.params));
    auto work = std::make_unique<EmbeddingWork>();
    work->pooling = asked.pooling ? engine_pooling(*asked.pooling) : encoder().pooling;
    work->width = encoder().projection.width();
    if (asked.dimensions && *asked.dimensions > work->width)
      return fail_at(Code::InvalidInput, "/dimensions", "'/dimensions' must be >= 1 and <= {}", work->width);
    work->width = asked.dimensions.value_or(work->width);
    work->scores = asked.query.has_value();
    work->normalize = encoder().normalize || work->scores || work->width != encoder().projection.width();
    const bool truncate = asked.truncate.value_or(true);
    if (asked.query) VERGE_TRY(add(*work, *asked.query, truncate));
    for (std::string_view text : asked.texts) VERGE_TRY(add(*work, text, truncate));
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
