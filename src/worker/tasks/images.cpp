#include "worker/tasks/images.h"

#include <new>

#include "support/limits.h"
#include "worker/tasks/picture.h"
#include "worker/tasks/table.h"

namespace verge::worker {
namespace {

// Decoding takes memory by the picture: so many at once, whatever waits.
constexpr int kPrepareThreads = 2;

struct ImageWork : Work {
  explicit ImageWork(const engine::ImageModelInfo& model) : info(model) {
    costs = {1};
    images = 1;
  }

  Result<protocol::Result> answer() override {
    if (error) return *error;
    if (info.task == "object-detection") return protocol::to_result(found_objects(std::move(found), info.labels, picture.width, picture.height));
    return protocol::to_result(image_classes(logits, info.labels));
  }

  const engine::ImageModelInfo& info;
  PreparedPicture picture;
  std::vector<float> logits;                // classifiers
  std::vector<engine::Detection> found;     // detectors
  std::optional<Error> error;
};

class ImageTask final : public SingleShot {
 public:
  ImageTask(std::unique_ptr<engine::Backend> backend, std::unique_ptr<engine::ImageModel> model)
      : backend_(std::move(backend)), model_(std::move(model)), info_(model_->info()) {}

  const char* task() const override { return info_.task.c_str(); }

  json::object ready() const override {
    return {{"architecture", info_.architecture}, {"weight_bytes", info_.weight_bytes}, {"kv_bytes", 0}, {"classes", info_.labels.size()}};
  }

  Result<std::unique_ptr<Work>> prepare(const protocol::Request& request) override {
    if (request.payload.empty()) return fail_at(Code::InvalidInput, "/image", "the request has no picture");
    auto work = std::make_unique<ImageWork>(info_);
    try {
      VERGE_ASSIGN(picture, prepare_picture(std::as_bytes(std::span(request.payload.view())), info_.preparation));
      work->picture = std::move(picture);
    } catch (const std::bad_alloc&) {  // many large pictures at once
      return fail(Code::Busy, "no memory for this picture at the moment");
    }
    return std::unique_ptr<Work>(std::move(work));
  }

  void run(std::span<const BatchItem> batch) override { info_.task == "object-detection" ? detect(batch) : classify(batch); }

 private:
  static ImageWork& work_of(const BatchItem& item) { return static_cast<ImageWork&>(*item.work); }

  void classify(std::span<const BatchItem> batch) {
    const size_t classes = info_.labels.size();
    std::vector<engine::Picture> pictures;
    for (const BatchItem& item : batch) pictures.push_back(work_of(item).picture.view());
    std::vector<float> logits(classes * batch.size());
    const auto done = model_->classify(pictures, logits.data());
    for (size_t i = 0; i < batch.size(); ++i) {
      ImageWork& work = work_of(batch[i]);
      if (!done) work.error = done.error();
      work.logits.assign(logits.begin() + static_cast<std::ptrdiff_t>(i * classes), logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * classes));
    }
  }

  void detect(std::span<const BatchItem> batch) {
    for (const BatchItem& item : batch) {
      ImageWork& work = work_of(item);
      if (auto done = model_->detect(work.picture.view(), &work.found); !done) work.error = done.error();
    }
  }

  const std::unique_ptr<engine::Backend> backend_;
  const std::unique_ptr<engine::ImageModel> model_;
  const engine::ImageModelInfo& info_;
};

}  // namespace

std::unique_ptr<SingleShot> make_image_task(std::unique_ptr<engine::Backend> backend, std::unique_ptr<engine::ImageModel> model) {
  return std::make_unique<ImageTask>(std::move(backend), std::move(model));
}

Result<std::unique_ptr<ModelService>> open_image_model(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options) {
  VERGE_ASSIGN(backend, engine::make_cpu_backend({host.threads, ""}));
  VERGE_ASSIGN(model, engine::open_as<std::unique_ptr<engine::ImageModel>>(host.path, *backend, host.open()));
  // A detector's picture is hundreds of times a classifier's work: one at a time, so that nobody waits for others' pictures.
  const bool detects = model->info().task == "object-detection";
  BatchOptions batch{1, detects ? 1 : limits::kPicturesOfBatch, kPrepareThreads};
  return std::unique_ptr<ModelService>(
      std::make_unique<BatchService>(std::move(io), make_image_task(std::move(backend), std::move(model)), batch, std::move(options)));
}

}  // namespace verge::worker
