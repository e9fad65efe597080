// Requests that wait because no node has room. Pure.
// CA1 At most kRoomWaiters wait, none past its deadline or kRoomWaitMs.
// CA2 Within a model, tenants take turns by what they ask for (start-time fair queueing: Goyal, Vin, Cheng 1996), and
//    each tenant's own are first come first served. A tenant that sends much waits for itself.
// CA3 When the room is full, a newcomer of a tenant that holds less takes the place of the newest of the one that
//    holds most; else it is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "router/choose.h"

namespace verge::router {

class CapacityQueue {
 public:
  explicit CapacityQueue(size_t most = limits::kRoomWaiters) : most_(most) {}

  struct Entered {
    bool in = false;
    uint64_t pushed_out = 0;  // fails now with Busy; 0 = none
  };
  // work: what it asks for, in any unit, at least 1 (prompt tokens). deadline: 0 = none.
  Entered enter(uint64_t id, const std::string& tenant, const std::string& model, int64_t work, Instant deadline, Instant now);
  void leave(uint64_t id);  // the client left

  // Asks `start` of each model's requests in turn until it says false: true = it has been given to a node.
  // Of a model's first few, any may start: they may differ in the regions that they allow.
  void release(Instant now, const std::function<bool(uint64_t id)>& start);
  // Takes out those whose time is over.
  std::vector<uint64_t> expire(Instant now);

  bool waits_for(const std::string& model) const { return lines_.count(model) > 0; }
  size_t size() const { return where_.size(); }
  // When one of them may find room, by the pace of late.
  int64_t retry_after_ms(const std::string& model) const;

 private:
  using Key = std::pair<double, uint64_t>;  // virtual start, order of arrival
  struct Waiting {
    uint64_t id;
    std::string tenant;
    Instant until;
    double start;
  };
  struct Line {
    std::map<Key, Waiting> waiting;
    std::map<std::string, double> finish;  // virtual, of each tenant's last
    double now = 0;                        // virtual
  };
  struct Where {
    std::string model;
    Key key;
  };
  void erase(uint64_t id);
  struct Pace {
    Instant last = 0;
    double gap_ms = 1000;
  };

  size_t most_;
  uint64_t order_ = 0;
  std::map<std::string, Line> lines_;  // of models that anybody waits for
  std::unordered_map<uint64_t, Where> where_;
  std::map<std::string, size_t> held_;  // by tenant
  std::map<std::string, Pace> paces_;   // by model, of releases
};

}  // namespace verge::router
