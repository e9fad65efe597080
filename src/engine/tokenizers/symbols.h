// Merging of neighbouring symbols, best pair first: the core of byte-pair encoding. Byte-level BPE ranks
// pairs by the order of its merges, SentencePiece by the merged token's score; both use this code.
//
// Short words scan all pairs for each merge, as that beats any structure up to about 30 symbols. Long ones
// keep the pairs in a heap and the symbols in a linked list, so that a megabyte without a word boundary costs
// n log n. Equal priorities go to the leftmost pair in both.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace verge::engine {

struct Symbol {
  uint32_t begin = 0, length = 0;  // bytes of the word; length 0: merged into its left neighbour
  int32_t id = -1;
  int32_t previous = -1, next = -1;
};

struct PairMerge {
  uint32_t priority;  // less is earlier
  int32_t id;         // of the merged symbol
};

struct QueuedPair {
  uint64_t order;  // priority, then position
  int32_t right;
  uint32_t length;  // of both symbols when queued; differs later if one has grown
  int32_t id;
};

// Kept between words, so that no word allocates.
struct SymbolScratch {
  std::vector<Symbol> symbols;
  std::vector<QueuedPair> queue;
  std::vector<PairMerge> pairs;
};

inline constexpr uint32_t kNoMerge = UINT32_MAX;
inline constexpr size_t kShortWord = 32;  // symbols

// lookup(left, right) -> PairMerge, with priority kNoMerge where the two do not merge.
template <class Lookup>
void merge_short(SymbolScratch& scratch, Lookup&& lookup) {
  auto& symbols = scratch.symbols;
  auto& pairs = scratch.pairs;  // pairs[i]: symbols i and i + 1
  pairs.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) pairs.push_back(lookup(symbols[i], symbols[i + 1]));
  while (!pairs.empty()) {
    size_t best = 0;
    for (size_t i = 1; i < pairs.size(); ++i) {
      if (pairs[i].priority < pairs[best].priority) best = i;
    }
    if (pairs[best].priority == kNoMerge) break;
    symbols[best].length += symbols[best + 1].length;
    symbols[best].id = pairs[best].id;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    pairs.erase(pairs.begin() + static_cast<ptrdiff_t>(best));
    if (best > 0) pairs[best - 1] = lookup(symbols[best - 1], symbols[best]);
    if (best < pairs.size()) pairs[best] = lookup(symbols[best], symbols[best + 1]);
  }
}

template <class Lookup>
void merge_long(SymbolScratch& scratch, Lookup&& lookup) {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  auto later = [](const QueuedPair& a, const QueuedPair& b) { return a.order > b.order; };
  auto offer = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return false;
    PairMerge merge = lookup(symbols[left], symbols[right]);
    if (merge.priority == kNoMerge) return false;
    queue.push_back({static_cast<uint64_t>(merge.priority) << 32 | static_cast<uint32_t>(left), right,
                     symbols[left].length + symbols[right].length, merge.id});
    return true;
  };
  auto count = static_cast<int32_t>(symbols.size());
  queue.clear();
  for (int32_t i = 0; i < count; ++i) {
    symbols[i].previous = i - 1;
    symbols[i].next = i + 1 < count ? i + 1 : -1;
    if (i > 0) offer(i - 1, i);
  }
  std::make_heap(queue.begin(), queue.end(), later);
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), later);
    QueuedPair pair = queue.back();
    queue.pop_back();
    auto index = static_cast<int32_t>(pair.order & 0xFFFFFFFF);
    Symbol& left = symbols[index];
    Symbol& right = symbols[pair.right];
    if (left.length == 0 || right.length == 0 || left.length + right.length != pair.length) continue;
    left.length = pair.length;
    left.id = pair.id;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) symbols[right.next].previous = index;
    if (offer(left.previous, index)) std::push_heap(queue.begin(), queue.end(), later);
    if (offer(index, left.next)) std::push_heap(queue.begin(), queue.end(), later);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.length == 0; });
}

template <class Lookup>
void merge_symbols(SymbolScratch& scratch, Lookup&& lookup) {
  if (scratch.symbols.size() <= kShortWord) {
    merge_short(scratch, lookup);
  } else {
    merge_long(scratch, lookup);
  }
}

}  // namespace verge::engine
