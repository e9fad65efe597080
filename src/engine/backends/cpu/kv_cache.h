// The paged key/value cache on the CPU. Layout of one page of one layer, all KV heads together:
//   keys    [kv_head][tile of 16 tokens][head_dim][16]   so that q·K has one lane a key: no sum across lanes
//   values  [kv_head][token][head_dim up to 16s]         so that p·V has one lane a channel
// The cache is [layer][page][keys, values]. Whatever attention() stores is finite, so that a masked key's
// product is exactly zero.
#pragma once

#include <cstddef>
#include <memory>

#include "engine/backend.h"
#include "support/limits.h"

namespace verge::engine::cpu {

inline constexpr int kKeyTile = 16;
static_assert(limits::kPageTokens % kKeyTile == 0);

// Elements from one token's values to the next.
inline int value_stride(int head_dim) { return (head_dim + 15) / 16 * 16; }

class CpuKvCache final : public KvCache {
 public:
  ~CpuKvCache() override;
  std::byte* page(int layer, int page) const { return data + (static_cast<size_t>(layer) * pages + page) * page_stride; }

  size_t key_offset(int kv_head) const;    // bytes from the page's start
  size_t value_offset(int kv_head) const;

  std::byte* data = nullptr;   // mapped lazily: a page that was never handed out costs no memory
  size_t page_stride = 0;      // bytes of one page of one layer
};

// Fails with Io where the address space cannot be had.
Result<std::unique_ptr<KvCache>> make_kv_cache(int layers, int kv_heads, int head_dim, int pages, KvType type);
// Bytes of one page over all layers.
size_t kv_page_bytes(int layers, int kv_heads, int head_dim, KvType type);

}  // namespace verge::engine::cpu
