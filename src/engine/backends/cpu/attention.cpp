// One dispatch of attention, cut into tasks for the threads.
//
// First all new keys and values of the step are normed, rotated and stored. Then each task takes the queries
// of a few rows of one sequence that share a KV head, kQueries at most, and walks their keys in splits
// of kSplitKeys. Each split is computed from an empty state and merged, in order, into the total. A sequence with many rows
// is cut by rows, and a task walks its splits itself; one with few rows (decoding) is cut by splits too, so that one
// long sequence keeps all threads busy, and the last task to finish merges. Both ways do the same arithmetic
// in the same order, hence the same bits for a row.
#include "engine/backends/cpu/attention.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <vector>

#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/kernels/attention.h"
#include "engine/backends/cpu/kv_cache.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

constexpr int kSplitKeys = 256;
static_assert(limits::kPageTokens == 32 && kKeyTile == 16 && kSplitKeys == 256);  // built into the kernels
static_assert(kSplitKeys % limits::kPageTokens == 0);
constexpr int kQueries = 64;    // of a task: shares pages of keys in the first-level cache
constexpr int kFewRows = 8;     // up to this many rows a sequence is cut by splits
constexpr int kStoreRows = 16;  // rows of a storing task
constexpr int kAloneRows = 2;   // the caller stores so few itself: it takes less time than a barrier
constexpr int64_t kAloneWork = 50'000;  // multiply-adds, a microsecond or two: the caller does it all itself
constexpr int kHeadDimMax = 512;

struct Task {
  int sequence, kv_head;
  int first_row, rows;  // within the sequence
  int split;            // -1: all of them, in order
  int group;            // of the tasks that merge their splits; -1 where split is
};

// Tasks of the same queries, one a split: the last to finish merges.
struct Group {
  std::atomic<int> left{0};
  size_t states = 0;  // index of the first split's state in Scratch::states
  int splits = 0;
  Group() = default;
  Group(const Group& other) : left(other.left.load()), states(other.states), splits(other.splits) {}
};

// Grows to the largest step seen; one per calling thread.
struct Scratch {
  std::vector<Task> tasks;
  std::vector<Group> groups;
  std::vector<float> states;
};

const AttentionKernels& kernels_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::attention_kernels : isa == Isa::Avx2 ? avx2::attention_kernels : base::attention_kernels;
}

class Dispatch {
 public:
  Dispatch(const AttentionArgs& args, const AttentionKernels& kernels)
      : a_(args), k_(kernels), cache_(*static_cast<const CpuKvCache*>(args.cache)) {
    assert(args.heads % args.kv_heads == 0 && args.kv_heads == cache_.kv_heads && args.head_dim == cache_.head_dim);
    assert(args.head_dim <= kHeadDimMax && args.rope.rotary_dim <= args.head_dim && args.rope.rotary_dim % 2 == 0);
    assert(args.layer < cache_.layers);
  }

  void run(Threads& threads, Scratch& scratch) {
    scratch_ = &scratch;
    plan(scratch);
    const int64_t count = static_cast<int64_t>(scratch.tasks.size());
    if (threads.count() == 1 || multiply_adds() < kAloneWork) {
      store_all();
      for (const Task& task : scratch.tasks) attend(task);
      return;
    }
    const bool alone = a_.n <= kAloneRows;
    if (alone) store_all();
    threads.run([&](int) {
      if (!alone) {
        store_shared(threads);
        threads.barrier();
      }
      for (int64_t task; (task = threads.take(1)) < count;) attend(scratch.tasks[static_cast<size_t>(task)]);
    });
  }

 private:
  int group() const { return a_.heads / a_.kv_heads; }
  int64_t multiply_adds() const {
    int64_t scores = 0;
    for (const SequenceRows& s : a_.sequences) scores += int64_t{s.rows} * (s.position + s.rows);
    return scores * a_.heads * a_.head_dim * 2;
  }
  size_t state_floats(int queries) const { return static_cast<size_t>(queries) * (1 + kKeyTile + value_stride(a_.head_dim)); }
  static int splits_for(int keys) { return (keys + kSplitKeys - 1) / kSplitKeys; }
  // The first split that the token at `position` sees.
  int first_split(int position) const { return a_.window > 0 ? std::max(0, position + 1 - a_.window) / kSplitKeys : 0; }

  HeadTransform transform_of(int row, const float* norm, float scale) const {
    const int half = a_.rope.rotary_dim / 2;
    const float* cos = a_.rope.cos + static_cast<size_t>(row) * half;
    const float* sin = a_.rope.sin + static_cast<size_t>(row) * half;
    return {a_.head_dim, norm, a_.norm_eps, cos, sin, a_.rope.rotary_dim, a_.rope.interleaved, scale};
  }

  // Stores all rows of the step: thread by thread in chunks of kStoreRows, or all by the caller.
  void store_all() {
    for (const SequenceRows& s : a_.sequences) store(s, 0, s.rows);
  }
  void store_shared(Threads& threads) {
    int64_t chunk = threads.take(1), first = 0;
    for (const SequenceRows& s : a_.sequences) {
      const int chunks = (s.rows + kStoreRows - 1) / kStoreRows;
      for (; chunk < first + chunks; chunk = threads.take(1)) {
        const int begin = static_cast<int>(chunk - first) * kStoreRows;
        store(s, begin, std::min(s.rows, begin + kStoreRows));
      }
      first += chunks;
    }
  }

  void store(const SequenceRows& s, int begin, int end) {
    const int type = static_cast<int>(cache_.type);
    float key[kHeadDimMax];
    for (int i = begin; i < end; ++i) {
      const int row = s.first_row + i, position = s.position + i, token = position % limits::kPageTokens;
      std::byte* page = cache_.page(a_.layer, s.pages[position / limits::kPageTokens]);
      const HeadTransform transform = transform_of(row, a_.k_norm, 1);
      for (int h = 0; h < a_.kv_heads; ++h) {
        const size_t from = (static_cast<size_t>(row) * a_.kv_heads + h) * a_.head_dim;
        k_.transform(a_.k + from, transform, key);
        k_.store_key(key, a_.head_dim, type, page + cache_.key_offset(h), token);
        k_.store_value(a_.v + from, a_.head_dim, value_stride(a_.head_dim), type, page + cache_.value_offset(h), token);
      }
    }
  }

  void plan(Scratch& scratch) const {
    scratch.tasks.clear();
    scratch.groups.clear();
    size_t states = 0;
    for (int s = 0; s < static_cast<int>(a_.sequences.size()); ++s) {
      const SequenceRows& sequence = a_.sequences[s];
      const int block = std::max(1, kQueries / group());
      // The last rows see the most keys: they start first, so that no thread is left with a long task at the end.
      for (int end = sequence.rows; end > 0; end -= block) {
        const int first = std::max(0, end - block), rows = end - first;
        const int begin_split = first_split(sequence.position + first), splits = splits_for(sequence.position + end) - begin_split;
        for (int h = 0; h < a_.kv_heads; ++h) {
          if (sequence.rows > kFewRows || splits == 1) {
            scratch.tasks.push_back({s, h, first, rows, -1, -1});
            continue;
          }
          Group& g = scratch.groups.emplace_back();
          g.left = splits;
          g.splits = splits;
          g.states = states;
          states += static_cast<size_t>(splits) * state_floats(rows * group());
          const int index = static_cast<int>(scratch.groups.size()) - 1;
          for (int i = 0; i < splits; ++i) scratch.tasks.push_back({s, h, first, rows, begin_split + i, index});
        }
      }
    }
    if (scratch.states.size() < states) scratch.states.resize(states);
  }

  // The block's softmax state laid over `memory`.
  void place(AttendBlock& block, float* memory) const {
    block.largest = memory;
    block.sums = memory + block.queries;
    block.values = block.sums + static_cast<size_t>(block.queries) * kKeyTile;
  }

  void attend(const Task& t) {
    static thread_local std::vector<float> memory;
    const SequenceRows& s = a_.sequences[t.sequence];
    const int queries = t.rows * group();
    const size_t q_floats = static_cast<size_t>(queries) * a_.head_dim, state = state_floats(queries);
    if (memory.size() < q_floats + 2 * state) memory.resize(q_floats + 2 * state);

    float* q = memory.data();
    for (int r = 0; r < t.rows; ++r) {
      const int row = s.first_row + t.first_row + r;
      const HeadTransform transform = transform_of(row, a_.q_norm, a_.scale);
      for (int g = 0; g < group(); ++g) {
        const float* from = a_.q + (static_cast<size_t>(row) * a_.heads + t.kv_head * group() + g) * a_.head_dim;
        k_.transform(from, transform, q + static_cast<size_t>(r * group() + g) * a_.head_dim);
      }
    }

    AttendBlock block{};
    block.q = q;
    block.queries = queries;
    block.group = group();
    block.position = s.position + t.first_row;
    block.head_dim = a_.head_dim;
    block.value_stride = value_stride(a_.head_dim);
    block.type = static_cast<int>(cache_.type);
    block.pages = s.pages.data();
    block.base = reinterpret_cast<const char*>(cache_.page(a_.layer, 0));
    block.page_stride = cache_.page_stride;
    block.key_offset = cache_.key_offset(t.kv_head);
    block.value_offset = cache_.value_offset(t.kv_head);
    block.window = a_.window;
    block.softcap = a_.softcap;

    const int keys = block.position + t.rows;  // of the block's last row
    AttendBlock total = block;
    place(total, memory.data() + q_floats);
    if (t.split < 0) {
      k_.reset(total);
      place(block, memory.data() + q_floats + state);
      for (int split = first_split(block.position); split < splits_for(keys); ++split) {
        attend_split(block, split, keys);
        k_.merge(total, block);
      }
      return finish(t, total);
    }
    Group& g = scratch_->groups[t.group];
    float* states = scratch_->states.data() + g.states;
    const int begin_split = first_split(block.position);
    place(block, states + (t.split - begin_split) * state);
    attend_split(block, t.split, keys);
    if (g.left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    k_.reset(total);
    for (int i = 0; i < g.splits; ++i) {
      place(block, states + i * state);
      k_.merge(total, block);
    }
    finish(t, total);
  }

  void attend_split(AttendBlock& block, int split, int keys) const {
    block.key_begin = split * kSplitKeys;
    block.key_end = std::min(keys, (split + 1) * kSplitKeys);
    k_.attend(block);
  }

  void finish(const Task& t, const AttendBlock& total) const {
    const SequenceRows& s = a_.sequences[t.sequence];
    for (int i = 0; i < total.queries; ++i) {
      const size_t row = s.first_row + t.first_row + i / group(), head = t.kv_head * group() + i % group();
      k_.finish(total, i, a_.out + (row * a_.heads + head) * a_.head_dim);
    }
  }

  const AttentionArgs& a_;
  const AttentionKernels& k_;
  const CpuKvCache& cache_;
  Scratch* scratch_ = nullptr;
};

}  // namespace

void attention(const AttentionArgs& args, Threads& threads, Isa isa) {
  static thread_local Scratch scratch;
  Dispatch(args, kernels_for(isa)).run(threads, scratch);
}

}  // namespace verge::engine::cpu
