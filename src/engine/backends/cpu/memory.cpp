// Attention to a memory, in jobs of one head and up to eight queries: their scores against all keys are made by the
// product kernels (keys are packed like a weight of 16-row groups), softened in place, and weigh the values. The scores of a
// job, a few tens of KiB, stay in a thread's own cache.
#include "engine/backends/cpu/memory.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <vector>

#include "engine/backends/cpu/elementwise.h"
#include "engine/backends/cpu/kernels/matmul.h"
#include "engine/backends/cpu/kernels/memory.h"
#include "engine/backends/cpu/kv_cache.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

const MemoryKernels& kernels_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::memory_kernels : isa == Isa::Avx2 ? avx2::memory_kernels : base::memory_kernels;
}
const MatmulKernels& products_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::matmul_kernels : isa == Isa::Avx2 ? avx2::matmul_kernels : base::matmul_kernels;
}

class CpuMemory final : public AttentionMemory {
 public:
  int64_t groups() const { return (capacity + kGroupRows - 1) / kGroupRows; }
  int64_t plane() const { return groups() * kGroupRows; }  // keys of one plane of values
  size_t head_elements() const { return static_cast<size_t>(plane() * head_dim); }
  uint16_t* keys(int head) const { return reinterpret_cast<uint16_t*>(data.get()) + static_cast<size_t>(head) * head_elements(); }
  uint16_t* values(int head) const { return keys(heads + head); }

  std::shared_ptr<uint8_t> data;
};

const CpuMemory& cpu_memory(const AttentionMemory& memory) { return static_cast<const CpuMemory&>(memory); }

// Index and value of the narrowest panel that holds so many columns.
std::pair<int, int> width_for(int columns) {
  for (int i = 0; i < kWidths; ++i) {
    if (kPanelWidths[i] >= columns) return {i, kPanelWidths[i]};
  }
  return {kWidths - 1, kPanelColumns};
}

// Scores of `columns` queries of one head, q row c at q + c * stride: tiles [group][width][16].
void score(const CpuMemory& memory, int head, const float* q, int64_t stride, int columns, float scale, const MatmulKernels& kernels, float* tile) {
  const auto [index, width] = width_for(columns);
  std::array<float, 512 * kPanelColumns> panel;
  for (int d = 0; d < memory.head_dim; ++d) {
    for (int c = 0; c < width; ++c) panel[static_cast<size_t>(d * width + c)] = c < columns ? q[c * stride + d] * scale : 0;
  }
  const auto* keys = reinterpret_cast<const uint8_t*>(memory.keys(head));
  const size_t group = group_bytes(Layout::F16, memory.head_dim);
  const int64_t groups = (memory.rows + kGroupRows - 1) / kGroupRows;
  for (int64_t g = 0; g < groups; g += kCallGroups) {
    const int count = static_cast<int>(std::min<int64_t>(kCallGroups, groups - g));
    kernels.product[static_cast<size_t>(Layout::F16)][static_cast<size_t>(index)](
        keys + static_cast<size_t>(g) * group, count, memory.head_dim, reinterpret_cast<const uint8_t*>(panel.data()), tile + g * width * kGroupRows);
  }
}

}  // namespace

Result<std::unique_ptr<AttentionMemory>> make_memory(int heads, int head_dim, int rows) {
  if (heads < 1 || rows < 1 || head_dim < 16 || head_dim % 16 != 0 || head_dim > 512) {
    return fail(Code::LoadFailed, "attention of {} heads of {} channels over {} rows is not supported: heads need a multiple of 16 channels up to 512",
                heads, head_dim, rows);
  }
  auto memory = std::make_unique<CpuMemory>();
  memory->heads = heads;
  memory->head_dim = head_dim;
  memory->capacity = rows;
  memory->bytes = 2 * static_cast<size_t>(heads) * memory->head_elements() * sizeof(uint16_t);
  Arena arena;
  VERGE_ASSIGN(data, arena.allocate(memory->bytes));
  memory->data = std::move(data);
  return std::unique_ptr<AttentionMemory>(std::move(memory));
}

void remember(const float* k, const float* v, int rows, AttentionMemory& to, Threads& threads, Isa isa) {
  auto& memory = static_cast<CpuMemory&>(to);
  assert(rows >= 1 && rows <= memory.capacity);
  memory.rows = rows;
  const MemoryKernels& kernels = kernels_for(isa);
  const int64_t stride = int64_t{memory.heads} * memory.head_dim, groups = (rows + kGroupRows - 1) / kGroupRows;
  threads.parallel_for(groups, 4, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * kGroupRows;
      const int count = static_cast<int>(std::min<int64_t>(kGroupRows, rows - first));
      for (int h = 0; h < memory.heads; ++h) {
        const int64_t at = first * stride + int64_t{h} * memory.head_dim;
        kernels.store_keys(k + at, stride, count, memory.head_dim, memory.keys(h) + first * memory.head_dim);
        for (int i = 0; i < count; ++i) kernels.store_values(v + at + i * stride, memory.head_dim, memory.plane(), memory.values(h) + (first + i) * kGroupRows);
      }
    }
  });
}

void attend(const AttentionMemory& from, const float* q, int n, float scale, float* out, Threads& threads, Isa isa) {
  const CpuMemory& memory = cpu_memory(from);
  const MemoryKernels& kernels = kernels_for(isa);
  const MatmulKernels& products = products_for(isa);
  const int64_t stride = int64_t{memory.heads} * memory.head_dim;
  const int panels = (n + kPanelColumns - 1) / kPanelColumns;
  const int64_t groups = (memory.rows + kGroupRows - 1) / kGroupRows;
  threads.parallel_for(int64_t{memory.heads} * panels, 1, [&](int64_t begin, int64_t end) {
    thread_local std::vector<float> tile;
    if (tile.size() < static_cast<size_t>(groups * kGroupRows * kPanelColumns)) tile.resize(static_cast<size_t>(groups * kGroupRows * kPanelColumns));
    for (int64_t job = begin; job < end; ++job) {
      const int head = static_cast<int>(job / panels), first = static_cast<int>(job % panels) * kPanelColumns;
      const int columns = std::min(kPanelColumns, n - first), width = width_for(columns).second;
      const int64_t at = first * stride + int64_t{head} * memory.head_dim;
      float sums[kPanelColumns];
      score(memory, head, q + at, stride, columns, scale, products, tile.data());
      kernels.soften(tile.data(), memory.rows, width, columns, sums);
      kernels.weigh(tile.data(), memory.rows, width, columns, sums, memory.values(head), memory.plane(), memory.head_dim, out + at, stride);
    }
  });
}

void attention_scores(const AttentionMemory& from, int head, const float* q, int n, float scale, float* out, Isa isa) {
  const CpuMemory& memory = cpu_memory(from);
  assert(head >= 0 && head < memory.heads);
  const MatmulKernels& products = products_for(isa);
  const int64_t stride = int64_t{memory.heads} * memory.head_dim;
  std::vector<float> tile(static_cast<size_t>(memory.plane() * kPanelColumns));
  for (int first = 0; first < n; first += kPanelColumns) {
    const int columns = std::min(kPanelColumns, n - first), width = width_for(columns).second;
    score(memory, head, q + first * stride + int64_t{head} * memory.head_dim, stride, columns, scale, products, tile.data());
    for (int c = 0; c < columns; ++c) {
      float* row = out + static_cast<int64_t>(first + c) * memory.rows;
      for (int64_t key = 0; key < memory.rows; ++key) row[key] = tile[static_cast<size_t>((key / kGroupRows * width + c) * kGroupRows + key % kGroupRows)];
    }
  }
}

void unfold(const float* x, int frames, int channels, int kernel, int stride, float* y, Threads& threads) {
  const int steps = (frames + stride - 1) / stride, before = kernel / 2;
  const int64_t row = int64_t{channels} * kernel;
  threads.parallel_for(steps, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int j = 0; j < kernel; ++j) {
        const int64_t from = t * stride + j - before;
        float* to = y + t * row + j;
        const bool inside = from >= 0 && from < frames;
        for (int c = 0; c < channels; ++c) to[int64_t{c} * kernel] = inside ? x[from * channels + c] : 0;
      }
    }
  });
}

void copy_pages(KvCache& to, std::span<const std::pair<int32_t, int32_t>> pages) {
  auto& cache = static_cast<CpuKvCache&>(to);
  for (const auto& [from, target] : pages) {
    assert(from >= 0 && from < cache.pages && target >= 0 && target < cache.pages);
    for (int layer = 0; layer < cache.layers; ++layer) std::memcpy(cache.page(layer, target), cache.page(layer, from), cache.page_stride);
  }
}

}  // namespace verge::engine::cpu
