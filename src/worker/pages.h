// Pages of the KV cache: who holds which, and which hold a prefix that a later prompt may share.
// Pure bookkeeping of page numbers; the bytes are the engine's.
//
// A page is in exactly one state:
//   free    nobody holds it, its content means nothing
//   held    refs > 0: in the table of one or more sequences
//   cached  refs == 0 but published: its content may serve a later prompt; least recently used goes first
//
// Prefix cache. A page that is full and computed is published under (parent, its tokens), where the
// parent is the entry of the page before it, or the tenant's root. Entries are compared token by
// token and by the parent's serial number, never by hash alone, so a collision cannot give one
// prompt another's keys and values, and no tenant ever reads (or times) another's prefix.
//
// G1 free + held + cached = all pages; a page's refs = number of tables that list it.
// G2 The published pages of a table are a live chain: each is the registered entry of its content,
//    and none of them is evicted while the table holds it.
// G3 allocate() gives all or nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "support/limits.h"

namespace verge::worker {

// One sequence's pages, in the order of its tokens. Filled and emptied by Pages only.
struct PageTable {
  std::vector<int32_t> pages;
  int published = 0;  // of them, from the front, registered in the prefix cache
};

class Pages {
 public:
  explicit Pages(int count);

  // Adds to an empty table the longest cached chain of full pages that starts `tokens`, as far as
  // `most_tokens`. Returns the number of tokens found, a multiple of kPageTokens.
  int match(std::string_view tenant, std::span<const int32_t> tokens, int most_tokens, PageTable& table);
  // The same for a table whose first `computed` tokens are all published: its own pages behind them are given back for cached ones.
  // Returns the number of tokens then computed.
  int extend(std::string_view tenant, std::span<const int32_t> tokens, int computed, int most_tokens, PageTable& table);
  // Adds `count` pages; false and nothing changed where there are not as many.
  bool allocate(int count, PageTable& table);
  // Registers the full pages among the first `computed` tokens. Where another page already holds the
  // same content, the table takes that one and gives its own back (their bits are equal).
  void publish(std::string_view tenant, std::span<const int32_t> tokens, int computed, PageTable& table);
  // Gives all pages back; the published ones stay findable until their room is needed.
  void release(PageTable& table);

  int count() const { return static_cast<int>(pages_.size()); }
  int available() const { return static_cast<int>(free_.size()) + cached_; }  // what allocate() could give
  int held() const { return count() - available(); }
  int cached() const { return cached_; }

  // Aborts where G1 or the lists are broken. O(pages); for tests and debug runs.
  void check() const;

 private:
  struct Page {
    int refs = 0;
    uint64_t serial = 0;  // of the cache entry; 0 = not published
    uint64_t parent = 0;  // serial of the entry before; 0 = first page of a prompt
    std::string tenant;   // of first pages only
    std::array<int32_t, limits::kPageTokens> tokens{};
    int32_t older = -1, newer = -1;  // list of cached pages
  };

  static uint64_t hash(uint64_t parent, std::string_view tenant, std::span<const int32_t> tokens);
  int32_t find(uint64_t parent, std::string_view tenant, std::span<const int32_t> tokens) const;
  void unregister(int32_t page);
  void acquire(int32_t page);
  void drop(int32_t page);
  void link_newest(int32_t page);
  void unlink(int32_t page);

  std::vector<Page> pages_;
  std::vector<int32_t> free_;
  std::unordered_multimap<uint64_t, int32_t> entries_;  // hash of (parent, tenant, tokens) -> page
  int32_t oldest_ = -1, newest_ = -1;
  int cached_ = 0;
  uint64_t next_serial_ = 1;
};

}  // namespace verge::worker
