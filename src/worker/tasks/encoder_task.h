// What the tasks of text encoders share: the model, and the way from a request's texts to rows of its output.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/encoder.h"
#include "worker/batch_service.h"

namespace verge::worker {

// A request's texts as token ids; each is an item.
class EncoderWork : public Work {
 public:
  std::vector<engine::LoadedEncoder::Tokens> texts;
  void add(engine::LoadedEncoder::Tokens tokens);
  engine::EncoderText text(int index) const;
};

class EncoderTask : public SingleShot {
 public:
  EncoderTask(std::unique_ptr<engine::Backend> backend, engine::LoadedEncoder encoder) : backend_(std::move(backend)), encoder_(std::move(encoder)) {}
  json::object ready() const override;
  void run(std::span<const BatchItem> batch) override;

 protected:
  const engine::LoadedEncoder& encoder() const { return encoder_; }
  engine::Encoder& model() { return *encoder_.model; }
  engine::Projection& projection() { return encoder_.projection; }
  // One item's rows {tokens, width} of the encoder's output.
  virtual void take(const BatchItem& item, const float* rows) = 0;
  // All at once, after take(): for a head that works on the whole batch. `texts` as they went in.
  virtual void finish(std::span<const BatchItem> /*batch*/, std::span<const engine::EncoderText> /*texts*/, const float* /*hidden*/) {}

 private:
  std::unique_ptr<engine::Backend> backend_;
  engine::LoadedEncoder encoder_;
  std::vector<engine::EncoderText> texts_;
  std::vector<float> hidden_;
};

// Loads the encoder and makes the service around `Task`, an EncoderTask.
struct OpenedEncoder {
  std::unique_ptr<engine::Backend> backend;
  engine::LoadedEncoder encoder;
};
Result<OpenedEncoder> open_encoder(const HostOptions& options);
std::unique_ptr<ModelService> serve_encoder(boost::asio::any_io_executor io, std::unique_ptr<SingleShot> task, ServiceOptions options);
}  // namespace verge::worker
