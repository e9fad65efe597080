// Requests that wait for a slot. Pure. Which tenant is next is for support/fair_share.h; of one tenant, first those that were
// running and lost their pages, then new ones, each in order of arrival.
//
// WQ1 At most `length` new requests wait; a replay is always taken back (it was admitted once).
// WQ2 A new request waits at most `time_ms`, and never past its deadline.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/error.h"
#include "support/limits.h"

namespace verge::worker {

struct QueueLimits {
  int length = limits::kQueueLength;
  int64_t time_ms = limits::kQueueTimeMs;
};

class Queue {
 public:
  explicit Queue(QueueLimits limits = {}) : limits_(limits) {}

  struct Item {
    uint64_t id = 0;
    std::string tenant;
    uint64_t arrival = 0;       // order of submission, unique
    int64_t deadline_ms = 0;    // 0 = none
  };
  // Busy where the queue is full, Timeout where the deadline has already passed.
  Result<void> push(const Item& item, int64_t now_ms);
  // A running request that lost its pages. Its wait has no limit but the deadline.
  void push_replay(const Item& item);

  std::optional<uint64_t> front(const std::string& tenant) const;
  bool remove(uint64_t id);  // false = not here

  struct Expired {
    uint64_t id;
    Error error;  // Busy or Timeout
  };
  std::vector<Expired> expire(int64_t now_ms);
  // Earliest time at which expire() would return something; INT64_MAX = never.
  int64_t next_expiry() const { return expiries_.empty() ? INT64_MAX : expiries_.begin()->first; }

  int size() const { return static_cast<int>(entries_.size()); }
  bool empty() const { return entries_.empty(); }
  bool full() const { return waiting_ >= limits_.length; }

 private:
  using Key = std::pair<int, uint64_t>;  // class, arrival
  struct Entry {
    Key key;
    std::string tenant;
    int64_t expires_ms = INT64_MAX;
    bool by_deadline = false;
    bool replay = false;
  };
  void insert(uint64_t id, Entry entry);
  void erase(uint64_t id);

  QueueLimits limits_;
  std::unordered_map<uint64_t, Entry> entries_;
  std::unordered_map<std::string, std::map<Key, uint64_t>> lines_;  // by tenant
  std::set<std::pair<int64_t, uint64_t>> expiries_;  // (expires_ms, id)
  int waiting_ = 0;
};

}  // namespace verge::worker
