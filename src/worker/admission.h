// Whether a new request is let in, by how long it would wait. Pure: events and the time go in.
//
// What waits is what has been let in and not begun, in any unit of cost. Its pace is measured while anything waits and all
// places are taken: before, it says how long one request takes, not how many go on side by side. Tenants take turns, so a newcomer waits for no more of another tenant's than it brings itself with what its own has waiting.
//
// AD1 At most `length` are here.
// AD2 Who would wait longer than answers take (kQueueWaitMs at least, `time_ms` at most) is
// refused at once, and who would wait past its deadline too. While places are free, or no pace is known, all are let in.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "support/error.h"
#include "worker/queue.h"

namespace verge::worker {

class Admission {
 public:
  explicit Admission(QueueLimits limits = {}) : limits_(limits) {}

  // cost > 0. deadline_ms: on the clock of now_ms; 0 = none. Errors: Busy with the time after which to retry; Timeout.
  Result<void> enter(uint64_t id, const std::string& tenant, int64_t cost, int64_t deadline_ms, int64_t now_ms);
  void begun(uint64_t id, int64_t now_ms);  // its answer
  void left(uint64_t id, int64_t now_ms);   // answered, failed or given up

  int here() const { return static_cast<int>(calls_.size()); }
  double wait_ms(const std::string& tenant, int64_t cost) const;  // expected; 0 where no pace is known
  int64_t most_wait_ms() const;

 private:
  struct Call {
    std::string tenant;
    int64_t cost = 0, begun_ms = 0;
    bool begun = false;
  };
  bool crowded() const { return here() >= limits::kSequences; }
  void tick(int64_t now_ms);
  void take_out(const Call& call);

  QueueLimits limits_;
  std::unordered_map<uint64_t, Call> calls_;
  std::unordered_map<std::string, int64_t> waiting_;  // cost, by tenant
  // Of late: cost that was begun, and time in which something waited.
  double begun_cost_ = 0, busy_ms_ = 0;
  double answer_ms_ = 0;  // mean time from its beginning to its end
  int64_t at_ms_ = 0;
};

}  // namespace verge::worker
