// The kernels of the paged attention (kernels/attention.h) on pages that live for one head of one sequence: a task
// lays its keys and values out in f32, then walks blocks of queries. They are causal; a query that sees rows after itself is
// told to be at the last of them, with a window that reaches as far back. Where all rows see all, all queries are told to be
// at the last row: the whole block is one group.
//
// Blocks and splits start at the sequence's first row and each query's state is its own, so a row has the same bits whatever
// other sequences are in the call.
#include "engine/backends/cpu/full_attention.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <vector>

#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/kernels/attention.h"
#include "engine/backends/cpu/kv_cache.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

constexpr int kSplitKeys = 256;  // as in attention.cpp
constexpr int kQueries = 32;     // of a block: their states stay in the nearest cache
constexpr int kF32 = static_cast<int>(KvType::F32);
constexpr size_t kAlign = 16;    // floats

const AttentionKernels& kernels_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::attention_kernels : isa == Isa::Avx2 ? avx2::attention_kernels : base::attention_kernels;
}

// Memory of one task, kept by its thread.
struct Scratch {
  std::vector<float> floats;
  std::vector<int32_t> pages;  // 0, 1, 2 …
};

int kv_heads_of(const FullAttentionArgs& args) { return args.kv_heads > 0 ? args.kv_heads : args.heads; }

class HeadTask {
 public:
  HeadTask(const FullAttentionArgs& args, const AttentionKernels& kernels, int sequence, int head)
      : a_(args), k_(kernels), first_(args.starts[static_cast<size_t>(sequence)]), rows_(args.starts[static_cast<size_t>(sequence) + 1] - first_),
        width_(static_cast<size_t>(args.heads) * args.head_dim), column_(static_cast<size_t>(head) * args.head_dim),
        kv_width_(static_cast<size_t>(kv_heads_of(args)) * args.head_dim),
        kv_column_(static_cast<size_t>(head / (args.heads / kv_heads_of(args))) * args.head_dim), stride_(value_stride(args.head_dim)),
        behind_(std::min(args.behind, rows_)), ahead_(std::min(args.ahead, rows_)), sees_all_(behind_ >= rows_ - 1 && ahead_ >= rows_ - 1) {}

  void run(Scratch& scratch) {
    const int pages = (rows_ + limits::kPageTokens - 1) / limits::kPageTokens;
    const size_t page = page_floats(), state = static_cast<size_t>(kQueries) * (1 + kKeyTile + stride_);
    const size_t queries = static_cast<size_t>(kQueries) * a_.head_dim;
    scratch.floats.resize(std::max(scratch.floats.size(), pages * page + queries + 2 * state + kAlign));
    while (scratch.pages.size() < static_cast<size_t>(pages)) scratch.pages.push_back(static_cast<int32_t>(scratch.pages.size()));
    // Lines of the cache: kernels read pages of keys in whole ones.
    void* at = scratch.floats.data();
    size_t space = scratch.floats.size() * sizeof(float);
    keys_ = static_cast<float*>(std::align(kAlign * sizeof(float), pages * page * sizeof(float), at, space));
    store(pages);

    AttendBlock block{};
    float* q = keys_ + pages * page;
    block.q = q;
    block.group = sees_all_ ? kQueries : 1;
    block.window = sees_all_ || behind_ == rows_ ? 0 : behind_ + ahead_ + 1;
    block.softcap = a_.softcap;
    block.head_dim = a_.head_dim;
    block.value_stride = stride_;
    block.type = kF32;
    block.pages = scratch.pages.data();
    block.base = reinterpret_cast<const char*>(keys_);
    block.page_stride = page * sizeof(float);
    block.value_offset = key_floats() * sizeof(float);
    for (int begin = 0; begin < rows_; begin += kQueries) attend(block, q, q + queries, state, begin);
  }

 private:
  size_t key_floats() const { return static_cast<size_t>(limits::kPageTokens) * a_.head_dim; }
  size_t page_floats() const { return key_floats() + static_cast<size_t>(limits::kPageTokens) * stride_; }
  size_t at(int row) const { return static_cast<size_t>(first_ + row) * width_ + column_; }
  size_t kv_at(int row) const { return static_cast<size_t>(first_ + row) * kv_width_ + kv_column_; }

  HeadTransform transform_of(int row, const float* norm, float scale) const {
    const int rotary = a_.rope.cos ? a_.rope.rotary_dim : 0;
    const size_t angles = static_cast<size_t>(first_ + row) * static_cast<size_t>(rotary / 2);
    return {a_.head_dim, norm, a_.norm_eps, a_.rope.cos + angles, a_.rope.sin + angles, rotary, a_.rope.interleaved, scale};
  }

  // A head's part of a row some rows on: they lie too far apart for the processor to see that they follow each other.
  void fetch(const float* rows, size_t part, size_t width) const {
    constexpr size_t kAhead = 8;
    const float* next = rows + part + kAhead * width;
    for (int i = 0; i < a_.head_dim; i += static_cast<int>(kAlign)) __builtin_prefetch(next + i);
  }

  // Rows past the end of the last page are zeros: they are computed and masked, and must be finite.
  void store(int pages) {
    std::fill(keys_ + (pages - 1) * page_floats(), keys_ + pages * page_floats(), 0.0f);
    float key[limits::kHeadDim];
    for (int row = 0; row < rows_; ++row) {
      fetch(a_.k, kv_at(row), kv_width_);
      fetch(a_.v, kv_at(row), kv_width_);
      k_.transform(a_.k + kv_at(row), transform_of(row, a_.k_norm, 1), key);
      float* page = keys_ + static_cast<size_t>(row / limits::kPageTokens) * page_floats();
      k_.store_key(key, a_.head_dim, kF32, page, row % limits::kPageTokens);
      k_.store_value(a_.v + kv_at(row), a_.head_dim, stride_, kF32, page + key_floats(), row % limits::kPageTokens);
    }
  }

  static void place(AttendBlock& block, float* memory) {
    block.largest = memory;
    block.sums = memory + block.queries;
    block.values = block.sums + static_cast<size_t>(block.queries) * kKeyTile;
  }

  void attend(AttendBlock block, float* q, float* states, size_t state, int begin) const {
    block.queries = std::min(kQueries, rows_ - begin);
    for (int i = 0; i < block.queries; ++i) {
      fetch(a_.q, at(begin + i), width_);
      k_.transform(a_.q + at(begin + i), transform_of(begin + i, a_.q_norm, a_.scale), q + static_cast<size_t>(i) * a_.head_dim);
    }
    block.position = sees_all_ ? rows_ - 1 : begin + ahead_;
    AttendBlock total = block;
    place(total, states);
    place(block, states + state);
    k_.reset(total);
    // Of all that the block's rows see, whole splits: from its first row's first to its last row's last.
    const int low = sees_all_ ? 0 : std::max(0, begin - behind_), high = sees_all_ ? rows_ : std::min(rows_, begin + block.queries + ahead_);
    for (int key = low / kSplitKeys * kSplitKeys; key < high; key += kSplitKeys) {
      block.key_begin = key;
      block.key_end = std::min(rows_, key + kSplitKeys);
      k_.attend(block);
      k_.merge(total, block);
    }
    for (int i = 0; i < block.queries; ++i) k_.finish(total, i, a_.out + at(begin + i));
  }

  const FullAttentionArgs& a_;
  const AttentionKernels& k_;
  const int first_, rows_;
  const size_t width_, column_, kv_width_, kv_column_;  // of q and out; of k and v
  const int stride_;
  const int behind_, ahead_;
  const bool sees_all_;
  float* keys_ = nullptr;
};

}  // namespace

void full_attention(const FullAttentionArgs& args, Threads& threads, Isa isa) {
  assert(args.starts.size() >= 2 && args.head_dim <= limits::kHeadDim && args.heads % kv_heads_of(args) == 0);
  assert(args.behind >= 0 && args.ahead >= 0 && args.rope.rotary_dim <= args.head_dim);
  const int sequences = static_cast<int>(args.starts.size()) - 1;
  const AttentionKernels& kernels = kernels_for(isa);
  threads.parallel_for(int64_t{sequences} * args.heads, 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch scratch;
    for (int64_t i = begin; i < end; ++i) {
      HeadTask(args, kernels, static_cast<int>(i / args.heads), static_cast<int>(i % args.heads)).run(scratch);
    }
  });
}

}  // namespace verge::engine::cpu
