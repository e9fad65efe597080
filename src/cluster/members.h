// Which nodes there are and which of them can be reached from here. Pure: messages, outcomes of probes and the time go in,
// actions come out. Times are in ms of a clock that never goes back.
//
// M1 A node is heard through the bus or through a probe; either is a sign of life, so that a cluster whose bus is gone
//    goes on with the nodes that it knows.
// M2 A node that is heard through the bus but not reached by probes is cut off from here: it is no use to this program, and what
//    is under way there is cut. The first probe that succeeds brings it back.
// M3 Of one name the later boot counts, as long as it is heard; older messages of a boot are dropped. Once the node is dead any boot may
//    take its name: its clock may have been set back.
// M4 No more than kClusterNodes names are kept.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "cluster/heartbeat.h"

namespace verge::cluster {

using Instant = int64_t;

class Members {
 public:
  // Actions.
  struct Join { std::string name, address; };            // open a connection there
  struct State { std::string name; };                    // find(name)->last is news, and the node can be reached
  struct Cut { std::string name, why; };                 // requests under way there will get no answer
  struct Leave { std::string name; };                    // forget it
  struct Probe { std::string name; };                    // ask it for a heartbeat over its own address
  struct Warn { std::string message; };                  // for the operator, said once
  using Action = std::variant<Join, State, Cut, Leave, Probe, Warn>;
  using Actions = std::vector<Action>;

  struct Member {
    Heartbeat last;
    Instant heard_at = 0;        // bus or probe
    Instant reached_at = 0;      // probe, or answers: data went both ways
    Instant probe_at = 0;        // the next one
    bool probing = false;
    int probes_failed = 0;       // in a row
    bool cut = false;            // said so, not reached since
    double rtt_ms = -1;          // of the last probe
    int under_way = 0;           // requests of ours
  };

  Actions heartbeat(const Heartbeat& heartbeat, Instant now);          // through the bus
  Actions probed(const std::string& name, const Heartbeat& answer, double rtt_ms, Instant now);
  Actions probe_failed(const std::string& name, Instant now);
  Actions connection_lost(const std::string& name, Instant now);       // a request there ended in the middle: look at once
  Actions tick(Instant now);
  // Nodes known from an earlier run: probed, not counted as alive.
  Actions remember(const std::string& name, const std::string& region, const std::string& address, Instant now);
  void started(const std::string& name) { add(name, 1); }
  void ended(const std::string& name) { add(name, -1); }

  const std::map<std::string, Member>& all() const { return members_; }
  const Member* find(const std::string& name) const;
  bool reachable(const Member& member, Instant now) const;

 private:
  void add(const std::string& name, int n);
  Actions news(const Heartbeat& heartbeat, Instant now, bool direct);
  void cut(Member& member, std::string why, Actions& out);

  std::map<std::string, Member> members_;
  bool full_ = false;
};

}  // namespace verge::cluster
