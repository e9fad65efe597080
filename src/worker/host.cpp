#include "worker/host.h"

#include <algorithm>
#include <fstream>

#include "engine/backends/null/null_model.h"
#include "support/limits.h"
#include "worker/sizing.h"

namespace verge::worker {
namespace {

// A number file of cgroup v2; "max" and absent files read as 0.
uint64_t cgroup_number(const std::string& name) {
  std::ifstream in("/sys/fs/cgroup/" + name);
  uint64_t value = 0;
  return in >> value ? value : 0;
}

}  // namespace

uint64_t available_memory() {
  static uint64_t known = 0;  // a sandbox lets nobody look again
  uint64_t available = 0;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key; meminfo >> key;) {
    if (key == "MemAvailable:") {
      meminfo >> available;
      available *= 1024;
      break;
    }
    meminfo.ignore(256, '\n');
  }
  const uint64_t limit = cgroup_number("memory.max"), used = cgroup_number("memory.current");
  if (limit > 0) {
    const uint64_t left = limit > used ? limit - used : 0;
    available = available == 0 ? left : std::min(available, left);
  }
  if (available == 0) return known;
  return known = available;
}

Result<engine::KvType> kv_type_from(std::string_view text) {
  if (text.empty() || text == "f16") return engine::KvType::F16;
  if (text == "bf16") return engine::KvType::BF16;
  if (text == "f32") return engine::KvType::F32;
  return fail(Code::InvalidInput, "unknown type '{}' for keys and values (f16, bf16, f32)", text);
}

Result<engine::Precision> precision_from(std::string_view text) {
  if (text.empty() || text == "native") return engine::Precision::Native;
  if (text == "f32") return engine::Precision::F32;
  return fail(Code::InvalidInput, "unknown precision '{}' for weights (native, f32)", text);
}

namespace {

constexpr int kNullContext = 4096;

Result<std::unique_ptr<Host>> open_null_host(const HostOptions& options) {
  auto host = std::make_unique<Host>();
  VERGE_ASSIGN(file, engine::open_model_file(options.path));
  VERGE_ASSIGN(tokenizer, engine::make_tokenizer(*file));
  host->context_tokens = kNullContext;
  host->model.file = std::move(file);
  host->model.tokenizer = std::move(tokenizer);
  host->model.model = engine::make_null_model(host->model.tokenizer->vocabulary(), kNullContext);
  VERGE_ASSIGN(cache, host->model.model->make_kv_cache(limits::kSequences * kNullContext / limits::kPageTokens, options.kv_type));
  host->cache = std::move(cache);
  return host;
}

}  // namespace

Result<std::unique_ptr<Host>> open_host(const HostOptions& options) {
  if (options.null_engine) return open_null_host(options);
  auto host = std::make_unique<Host>();
  VERGE_ASSIGN(backend, engine::make_cpu_backend({options.threads, ""}));
  host->backend = std::move(backend);
  VERGE_ASSIGN(model, engine::open_as<engine::LoadedModel>(options.path, *host->backend, options.open()));
  host->model = std::move(model);
  const engine::ModelInfo& info = host->model.model->info();
  KvNeed need;
  need.model_context = info.context_tokens;
  need.wanted_context = options.context_tokens;
  need.page_bytes = host->backend->kv_page_bytes(info.layers, info.kv_heads, info.head_dim, options.kv_type);
  need.budget_bytes = options.kv_bytes;
  need.available_bytes = available_memory();
  VERGE_ASSIGN(size, size_kv(need));
  VERGE_ASSIGN(cache, host->model.model->make_kv_cache(size.pages, options.kv_type));
  host->cache = std::move(cache);
  host->context_tokens = size.context_tokens;
  return host;
}

}  // namespace verge::worker
