// The life of every request of one gateway, from its arrival to its end. Pure: what happens and
// the time go in, actions come out. The router carries them out with sockets and clocks; the
// simulator and the tests drive the very same object.
//
// J1 A request that was begun gets exactly one of: ended() told by the caller, Fail, or left().
// J2 What it holds (its place in the registry, in the waiting room, in the retry budget) is given
//    back by then, whatever happened.
// J3 At most one attempt of a request is under way. HangUp comes before the action that replaces
//    it, and what the old attempt still does is no longer told to this object.
// J4 An attempt is given up where its node is dead (Registry::stranded), or silent past
//    Attempts::patience() while another node would do.
// J5 A request whose deadline passes before its first news fails with Timeout. One that has
//    brought something goes on: the published time limit is one on the first part of an answer.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "router/attempts.h"
#include "router/capacity.h"
#include "router/choose.h"
#include "router/placement.h"
#include "router/refusals.h"
#include "router/registry.h"

namespace verge::router {

struct Arrival {
  Need need;
  std::string tenant;
  uint64_t seed = 0;
  Instant deadline = 0;   // 0 = none
  bool in_steps = false;  // a node that says nothing for long does not get on with it
};

struct Action {
  enum class Kind {
    Start,   // an attempt at choice.node
    HangUp,  // on the attempt under way
    Again,   // told for logs and metrics: an attempt failed with `error`, another follows
    Wait,    // told likewise: it waits for room
    Fail,    // it is over, with `error`
  };
  Kind kind;
  uint64_t id = 0;
  Choice choice;
  int attempt = 0;  // from 1
  Error error;
};
using Actions = std::vector<Action>;

class Journeys {
 public:
  // The choice of a node; choose() unless a simulation compares others with it.
  using Chooser = std::function<Choice(uint64_t id, const Need&, const Tried&, Instant now, uint64_t seed)>;

  // may_wait: requests that no node has room for wait (capacity.h); else they fail with Busy.
  explicit Journeys(bool may_wait = true, Chooser chooser = {});
  Journeys(const Journeys&) = delete;
  Journeys& operator=(const Journeys&) = delete;

  // Heartbeats go through heartbeat(), which may give waiting requests their room.
  Registry& registry() { return registry_; }
  const Registry& registry() const { return registry_; }
  bool heartbeat(const std::string& name, NodeState state, Instant now, Actions& out);

  // ---- Of one request. The number of a new one; its first action is in `out` on return.
  uint64_t arrived(Arrival arrival, Instant now, Actions& out);
  // The attempt under way said something; that it is accepted, with what it answers (its build) and
  // how busy its model is, where it says so.
  void heard(uint64_t id) { journeys_.at(id).heard = true; }
  void accepted(uint64_t id, const std::string& build, const std::optional<protocol::Load>& load, Instant now);
  // It brought the client something new.
  void progressed(uint64_t id, Instant now);
  // How the attempt ended; tokens: that the client has by now, of all attempts.
  void ended(uint64_t id, int64_t tokens, Instant now, Actions& out);
  void failed(uint64_t id, Error error, int64_t tokens, Instant now, Actions& out);
  // The client reads nothing: the attempt was given up, and goes on after reads_again().
  void stalled(uint64_t id, int64_t tokens, Instant now, Actions& out);
  void reads_again(uint64_t id, Instant now, Actions& out);
  // The client is gone. Nothing where the request is over.
  void left(uint64_t id, Instant now, Actions& out);

  // What time brings. To be called at wake() or later.
  void tick(Instant now, Actions& out);
  Instant wake() const;  // kNever: nothing waits for time
  static constexpr Instant kNever = INT64_MAX;

  size_t waiting() const { return room_.size(); }
  size_t under_way() const { return journeys_.size(); }
  int retries() const { return budget_.retries(); }
  // Requests a second of late, by model.
  std::map<std::string, double> demand(Instant now) const { return demand_.per_s(now); }

 private:
  enum class State { Choosing, Waiting, Pausing, UnderWay, Stalled };
  struct Journey {
    Journey(uint64_t number, Arrival arrival, bool may_wait)
        : id(number), what(std::move(arrival)), attempts(what.deadline, what.seed, may_wait), prompt_tokens(what.need.prompt_tokens), may_wait(may_wait) {}
    uint64_t id;
    Arrival what;
    Attempts attempts;
    int64_t prompt_tokens;  // as it arrived
    int64_t tokens = 0;     // that the client has
    bool may_wait;
    State state = State::Choosing;
    int made = 0;                // attempts
    uint64_t flight = 0;
    Choice choice;               // of the attempt under way
    bool heard = false, accepted = false, progress = false;  // the attempt under way
    bool brought = false;        // something, ever
    bool holds_budget = false;
    bool owes_budget = false;    // leaves the waiting room only with one of the retries
    bool to_room = false;        // after its pause
    Instant waits_until = 0;     // all its waits together; one that got on has earned a new one
    Instant patience = 0;        // 0 = without limit
    Instant timer = 0;           // 0 = none
    std::string build;           // of what answered first
    Error error;                 // the last
  };

  Choice pick(const Journey& journey, Instant now) const;
  void begin(Journey& journey, Instant now, Actions& out);
  void start(Journey& journey, Choice choice, Instant now, Actions& out);
  void wait_for_room(Journey& journey, Instant now, Actions& out);
  void lost(Journey& journey, Error error, Instant now, Actions& out);
  void hang_up(Journey& journey, Error error, Instant now, Actions& out);
  void attempt_over(Journey& journey, const Error* error, Instant now, Actions& out);
  void fail_with(Journey& journey, Error error, Actions& out);
  void over(Journey& journey);
  void look_for_room(Instant now, Actions& out);
  void sweep_stranded(Instant now, Actions& out);
  void on_timer(Journey& journey, Instant now, Actions& out);
  void set_timer(Journey& journey);
  void give_back(Journey& journey);
  bool held_somewhere(const std::string& model) const;

  bool may_wait_;
  Chooser chooser_;
  Registry registry_;
  RetryBudget budget_;
  CapacityQueue room_;
  Refusals refusals_;
  DemandMeter demand_;
  std::unordered_map<uint64_t, Journey> journeys_;
  std::set<std::pair<Instant, uint64_t>> timers_;
  std::set<uint64_t> away_;  // under way at nodes that may die without a word
  uint64_t last_ = 0;
  Instant looked_at_ = 0, swept_at_ = 0;
  Instant first_heard_ = 0;  // of any node
};

}  // namespace verge::router
