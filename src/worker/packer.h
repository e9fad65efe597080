// Packs the items of single-shot requests (texts, pictures) into batches. Pure.
//
// A request is a list of items; a batch takes items of any requests, as many as its cost limit allows (tokens of
// texts, one a picture). Nothing is waited for: a batch is made of what is there when the engine is free, so one
// request alone starts at once and batches grow with the load by themselves.
//
// PK1 Fair between tenants (support/fair_share.h), then between the requests of one, by cost (start-time fair queueing, an
//    item at a time): a request with 100 items delays one with a single item by the batch that runs, no more.
// PK2 A batch costs at most its limit, but for a single item that costs more by itself.
// PK3 At most `length` requests wait; each waits at most `time_ms` for its first item and never past its deadline.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/error.h"
#include "support/fair_share.h"
#include "worker/queue.h"

namespace verge::worker {

class Packer {
 public:
  explicit Packer(QueueLimits limits = {}) : limits_(limits) {}

  struct Job {
    uint64_t id = 0;               // unique among those here
    std::string tenant;
    std::vector<int64_t> costs;    // of its items; >= 1 item, each > 0
    int64_t deadline_ms = 0;       // 0 = none
    bool reject_if_busy = false;
  };
  // Busy where the queue is full (or, with reject_if_busy, where anything is here), Timeout past the deadline.
  Result<void> submit(Job job, int64_t now_ms);
  bool cancel(uint64_t id);  // false = not here

  struct Item {
    uint64_t id = 0;
    int index = 0;
  };
  // The next batch: items that have not run, at most `cost_limit` of cost and `items_limit` in number.
  std::vector<Item> next(int64_t cost_limit, int items_limit);
  // Items of the last batch have run. Returns the requests whose items all have.
  std::vector<uint64_t> done(const std::vector<Item>& batch);

  struct Expired {
    uint64_t id;
    Error error;  // Busy or Timeout
  };
  std::vector<Expired> expire(int64_t now_ms);
  int64_t next_expiry() const;  // INT64_MAX = never

  int requests() const { return static_cast<int>(jobs_.size()); }
  int64_t waiting_cost() const { return waiting_cost_; }  // of items that have not been given out
  bool idle() const { return waiting_cost_ == 0; }

 private:
  struct Entry {
    uint64_t id = 0;
    std::string tenant;
    std::vector<int64_t> costs;
    size_t given = 0, finished = 0;  // items
    int64_t tag = 0;                 // virtual time within its tenant
    uint64_t arrival = 0;
    int64_t expires_ms = INT64_MAX;
    bool by_deadline = false;
  };
  struct Line {                // of a tenant
    int64_t virtual_time = 0;  // of its requests
    int waiting = 0;           // requests with items left
  };
  Entry* pick();
  void leave(Entry& entry);

  QueueLimits limits_;
  std::unordered_map<uint64_t, Entry> jobs_;
  std::map<std::string, Line> lines_;  // of tenants with items left
  FairShare share_;                    // of the same tenants, charged with the items given out
  int64_t waiting_cost_ = 0;
  uint64_t arrivals_ = 0;
};

// Cost that the next batch may have, so that who arrives while it runs waits little: about a quarter of the work
// that waits, between limits::kBatchLeastMs and kBatchMostMs of it, at the speed measured (0 = not yet).
int64_t batch_cost(int64_t waiting_cost, double cost_per_ms, int64_t least, int64_t most);

}  // namespace verge::worker
