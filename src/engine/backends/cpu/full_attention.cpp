// The kernels of the paged attention (kernels/attention.h) on pages that live for one head of one sequence: a task
// lays its keys and values out in f32, then walks blocks of queries. A query at the last position sees every key,
// so all queries are told to be there: `position` is the last row's and the whole block is one group.
//
// Splits start at the sequence's first row and each query's state is its own, so a row has the same bits whatever
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

class HeadTask {
 public:
  HeadTask(const FullAttentionArgs& args, const AttentionKernels& kernels, int sequence, int head)
      : a_(args), k_(kernels), first_(args.starts[static_cast<size_t>(sequence)]), rows_(args.starts[static_cast<size_t>(sequence) + 1] - first_),
        width_(static_cast<size_t>(args.heads) * args.head_dim), column_(static_cast<size_t>(head) * args.head_dim), stride_(value_stride(args.head_dim)) {}

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
    block.group = kQueries;
    block.position = rows_ - 1;
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

  // Rows past the end of the last page are zeros: they are computed and masked, and must be finite.
  void store(int pages) {
    std::fill(keys_ + (pages - 1) * page_floats(), keys_ + pages * page_floats(), 0.0f);
    for (int row = 0; row < rows_; ++row) {
      float* page = keys_ + static_cast<size_t>(row / limits::kPageTokens) * page_floats();
      k_.store_key(a_.k + at(row), a_.head_dim, kF32, page, row % limits::kPageTokens);
      k_.store_value(a_.v + at(row), a_.head_dim, stride_, kF32, page + key_floats(), row % limits::kPageTokens);
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
      const float* from = a_.q + at(begin + i);
      for (int d = 0; d < a_.head_dim; ++d) q[static_cast<size_t>(i) * a_.head_dim + d] = from[d] * a_.scale;
    }
    AttendBlock total = block;
    place(total, states);
    place(block, states + state);
    k_.reset(total);
    for (int key = 0; key < rows_; key += kSplitKeys) {
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
  const size_t width_, column_;
  const int stride_;
  float* keys_ = nullptr;
};

}  // namespace

void full_attention(const FullAttentionArgs& args, Threads& threads, Isa isa) {
  assert(args.starts.size() >= 2 && args.head_dim <= limits::kHeadDim);
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
