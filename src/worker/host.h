// A model made ready to run: backend, weights, tokenizer, KV cache of the right size. Reads the disk and
// /proc; what `verge worker`, `verge run` and `verge bench` have in common.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/open.h"
#include "support/error.h"

namespace verge::worker {

struct HostOptions {
  std::string path;
  int context_tokens = 0;       // 0 = the model's
  uint64_t kv_bytes = 0;        // 0 = chosen, see sizing.h
  int threads = 0;              // 0 = all cores
  engine::KvType kv_type = engine::KvType::F16;
  engine::Precision precision = engine::Precision::Native;
  bool null_engine = false;     // text models: the tokenizer is real, tokens are made without weights; for measuring the path around a model
  std::function<void(double fraction)> progress;
  engine::OpenOptions open() const { return {precision, kv_type, progress}; }
};

struct Host {
  std::unique_ptr<engine::Backend> backend;
  engine::LoadedModel model;
  std::unique_ptr<engine::KvCache> cache;
  int context_tokens = 0;
};

Result<std::unique_ptr<Host>> open_host(const HostOptions& options);

Result<engine::KvType> kv_type_from(std::string_view text);          // "f16", "bf16", "f32"
Result<engine::Precision> precision_from(std::string_view text);     // "native", "f32"
uint64_t available_memory();  // bytes; of the machine or the cgroup, whichever is less; 0 = not known

}  // namespace verge::worker
