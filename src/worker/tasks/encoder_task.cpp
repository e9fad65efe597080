#include "worker/tasks/encoder_task.h"

#include "support/limits.h"

namespace verge::worker {

void EncoderWork::add(engine::LoadedEncoder::Tokens tokens) {
  costs.push_back(static_cast<int64_t>(tokens.ids.size()));
  prompt_tokens += static_cast<int64_t>(tokens.ids.size());
  texts.push_back(std::move(tokens));
}

engine::EncoderText EncoderWork::text(int index) const {
  const auto& tokens = texts[static_cast<size_t>(index)];
  return {tokens.ids, tokens.first_segment};
}

json::object EncoderTask::ready() const {
  const engine::EncoderInfo& info = encoder_.model->info();
  return {{"architecture", info.architecture}, {"weight_bytes", info.weight_bytes + encoder_.projection.bytes()}, {"context_tokens", encoder_.max_tokens}, {"width", encoder_.projection.width()}};
}

void EncoderTask::run(std::span<const BatchItem> batch) {
  texts_.clear();
  size_t rows = 0;
  for (const BatchItem& item : batch) {
    texts_.push_back(static_cast<const EncoderWork*>(item.work)->text(item.index));
    rows += texts_.back().tokens.size();
  }
  const auto width = static_cast<size_t>(encoder_.model->info().width);
  if (hidden_.size() < rows * width) hidden_.resize(rows * width);
  encoder_.model->encode(texts_, hidden_.data());
  const float* at = hidden_.data();
  for (size_t i = 0; i < batch.size(); ++i) {
    take(batch[i], at);
    at += texts_[i].tokens.size() * width;
  }
  finish(batch, texts_, hidden_.data());
}

Result<OpenedEncoder> open_encoder(const HostOptions& options) {
  VERGE_ASSIGN(backend, engine::make_cpu_backend({options.threads, ""}));
  VERGE_ASSIGN(encoder, engine::open_as<engine::LoadedEncoder>(options.path, *backend, options.open()));
  if (options.context_tokens > 0 && options.context_tokens < encoder.max_tokens) {
    const size_t around = encoder.prefix.size() + encoder.between.size() + encoder.suffix.size();
    if (static_cast<size_t>(options.context_tokens) <= around) return fail(Code::LoadFailed, "{}: a context of {} tokens leaves no room for a text", options.path, options.context_tokens);
    encoder.max_tokens = options.context_tokens;
  }
  return OpenedEncoder{std::move(backend), std::move(encoder)};
}

std::unique_ptr<ModelService> serve_encoder(boost::asio::any_io_executor io, std::unique_ptr<SingleShot> task, ServiceOptions options) {
  const BatchOptions batch{limits::kEncoderLeastTokens, limits::kEncoderMostTokens, 1};
  return std::make_unique<BatchService>(std::move(io), std::move(task), batch, std::move(options));
}

}  // namespace verge::worker
