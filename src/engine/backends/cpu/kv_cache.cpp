#include "engine/backends/cpu/kv_cache.h"

#include <sys/mman.h>

#include "support/shortage.h"

namespace verge::engine::cpu {
namespace {

size_t element_bytes(KvType type) { return type == KvType::F32 ? 4 : 2; }

constexpr size_t kLargePagesFrom = 64 << 20;  // below, a rounded-up page would be too much of the whole

// Bytes of one page of one layer, up to a cache line.
size_t page_bytes(int kv_heads, int head_dim, KvType type) {
  const size_t per_token = static_cast<size_t>(head_dim) + value_stride(head_dim);
  const size_t bytes = static_cast<size_t>(kv_heads) * limits::kPageTokens * per_token * element_bytes(type);
  return (bytes + 63) / 64 * 64;
}

}  // namespace

CpuKvCache::~CpuKvCache() {
  if (data) munmap(data, bytes);
}

size_t CpuKvCache::key_offset(int kv_head) const {
  return static_cast<size_t>(kv_head) * limits::kPageTokens * head_dim * element_bytes(type);
}

size_t CpuKvCache::value_offset(int kv_head) const {
  return (static_cast<size_t>(kv_heads) * head_dim + static_cast<size_t>(kv_head) * value_stride(head_dim)) * limits::kPageTokens *
         element_bytes(type);
}

Result<std::unique_ptr<KvCache>> make_kv_cache(int layers, int kv_heads, int head_dim, int pages, KvType type) {
  auto cache = std::make_unique<CpuKvCache>();
  cache->layers = layers;
  cache->kv_heads = kv_heads;
  cache->head_dim = head_dim;
  cache->pages = pages;
  cache->type = type;
  cache->page_stride = page_bytes(kv_heads, head_dim, type);
  cache->bytes = cache->page_stride * static_cast<size_t>(layers) * static_cast<size_t>(pages);
  if (cache->bytes == 0) return fail(Code::Io, "a key/value cache of {} layers and {} pages holds nothing", layers, pages);
  void* memory = mmap(nullptr, cache->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return shortage(fmt::format("no memory for a key/value cache of {} pages ({} MiB)", pages, cache->bytes >> 20));
  }
  // Attention walks pages that lie anywhere: large pages save most of its address translations.
  if (cache->bytes >= kLargePagesFrom) madvise(memory, cache->bytes, MADV_HUGEPAGE);
  cache->data = static_cast<std::byte*>(memory);
  return std::unique_ptr<KvCache>(std::move(cache));
}

size_t kv_page_bytes(int layers, int kv_heads, int head_dim, KvType type) {
  return static_cast<size_t>(layers) * page_bytes(kv_heads, head_dim, type);
}

}  // namespace verge::engine::cpu
