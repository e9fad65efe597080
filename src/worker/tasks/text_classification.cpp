#include "worker/tasks/text_classification.h"

#include <algorithm>
#include <cmath>

#include "protocol/tasks/text_classification.h"
#include "worker/tasks/encoder_task.h"

namespace verge::worker {
namespace {

// Softmax of one row, or the sigmoid of a single score.
void to_probabilities(std::span<double> row) {
  if (row.size() == 1) {
    row[0] = 1 / (1 + std::exp(-row[0]));
    return;
  }
  const double most = *std::ranges::max_element(row);
  double sum = 0;
  for (double& x : row) sum += x = std::exp(x - most);
  for (double& x : row) x /= sum;
}

struct ClassWork : EncoderWork {
  const std::vector<std::string>* labels = nullptr;  // of the model
  std::vector<float> scores;                         // {items, labels}

  Result<protocol::Result> answer() override {
    const size_t classes = labels->size();
    protocol::Classification out{*labels, {}};
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<double> row(scores.begin() + static_cast<ptrdiff_t>(i * classes), scores.begin() + static_cast<ptrdiff_t>((i + 1) * classes));
      to_probabilities(row);
      out.scores.push_back(std::move(row));
    }
    return protocol::to_result(out);
  }
};

class TextClassification final : public EncoderTask {
 public:
  using EncoderTask::EncoderTask;
  const char* task() const override { return "text-classification"; }

  Result<std::unique_ptr<Work>> prepare(const protocol::Request& request) override {
    VERGE_ASSIGN(asked, protocol::classification_parameters(request.params));
    auto work = std::make_unique<ClassWork>();
    work->labels = &encoder().labels;
    std::vector<int32_t> first;
    if (asked.query) first = encoder().first_of_pairs(*asked.query);
    for (std::string_view text : asked.texts) work->add(asked.query ? encoder().tokens_of(first, text) : encoder().tokens_of(text));
    work->scores.resize(work->texts.size() * work->labels->size());
    return std::unique_ptr<Work>(std::move(work));
  }

 protected:
  void take(const BatchItem&, const float*) override {}

  void finish(std::span<const BatchItem> batch, std::span<const engine::EncoderText> texts, const float* hidden) override {
    const size_t classes = encoder().labels.size();
    scores_.resize(batch.size() * classes);
    model().classify(texts, hidden, scores_.data());
    for (size_t i = 0; i < batch.size(); ++i) {
      auto& work = *static_cast<ClassWork*>(batch[i].work);
      std::copy_n(scores_.begin() + static_cast<ptrdiff_t>(i * classes), classes, work.scores.begin() + batch[i].index * static_cast<ptrdiff_t>(classes));
    }
  }

 private:
  std::vector<float> scores_;
};

}  // namespace

Result<std::unique_ptr<ModelService>> open_text_classification(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options) {
  VERGE_ASSIGN(opened, open_encoder(host));
  if (opened.encoder.model->info().classes == 0) return fail(Code::LoadFailed, "{}: this model has no classification head", host.path);
  return serve_encoder(std::move(io), std::make_unique<TextClassification>(std::move(opened.backend), std::move(opened.encoder)), std::move(options));
}

}  // namespace verge::worker
