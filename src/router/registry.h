// What the router knows about nodes. Pure: times are arguments, in ms of a clock that never goes back.
//
// A node says about itself, in heartbeats, which models it holds and how busy they are. The router adds what it
// saw with its own eyes: the round trip, requests that it has under way there, how much later than expected
// first tokens came, failures. Where the two disagree its own eyes win: a node that lies about its queue gains
// a few requests by it, not the traffic.
//
// RG1 A heartbeat of an older boot, or an older one of the same boot, changes nothing (they come late and twice).
// RG2 A remote node is suspect kNodeSuspectMs after its last heartbeat was heard and dead after kNodeDeadMs (protocol/liveness.h), by
//    the router's own clock: no clock of a node is ever read.
// RG3 A node that fails kEjectFailures times in a row is ejected for a while, longer each time, unless that would
//    leave fewer than half of the nodes: when most fail, the fault is elsewhere, and a router without nodes
//    helps nobody.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/liveness.h"
#include "protocol/report.h"
#include "support/error.h"
#include "support/limits.h"

namespace verge::router {

using Instant = int64_t;  // ms

struct ModelState : protocol::ModelReport {
  ModelState() = default;
  ModelState(protocol::ModelReport report) : protocol::ModelReport(std::move(report)) {}  // NOLINT(google-explicit-constructor)
  // Kept by the registry: the mean of late of `queued` and `queued_tokens`, to which a word that gets old returns.
  double mean_queued = 0, mean_queued_tokens = 0;
  Instant heard_at = 0;
};

struct NodeState {
  std::map<std::string, ModelState> models;  // loaded, or on its disk
  bool any_model = false;                    // the node decides by itself what it can serve
  int64_t memory_free_bytes = INT64_MAX;
  bool draining = false;
  std::string region;
  double latitude = NAN, longitude = NAN;  // degrees, where known
  uint64_t boot = 0;                       // higher replaces
  uint64_t sequence = 0;                   // of heartbeats since that boot; 0 with boot 0 = not numbered
};

using protocol::Health;

constexpr int kUnknownFirstTokenMs = 200;  // before anything is measured

// Own observations of one model at one node.
struct Seen {
  struct Waiting {
    Instant sent_at;
    int64_t tokens;       // of the prompt
    int64_t estimate_ms;  // to its first token
  };
  int under_way = 0;                      // requests
  std::map<uint64_t, Waiting> waiting;    // of these, without a first token; by number, so by time
  double late_ms = 0;                     // first tokens came so much later than estimated; moving average
  Instant late_at = 0;                    // when that was measured
  Instant full_until = 0;                 // it answered busy
  bool suspect = false;                   // the process of a local node's model does not get on
};

struct Node {
  NodeState state;
  bool local = false;     // in this process: never late, never ejected
  bool draining = false;  // asked for by the operator; state.draining is the node's own word
  Instant heard_at = 0;
  // Own observations.
  std::map<std::string, Seen> seen;      // by model
  std::array<float, 8> round_trips{};    // the newest
  uint32_t round_trips_seen = 0;
  double rtt_ms = 0;                     // moving average of the least of those
  int failures = 0;                      // in a row
  Instant failed_at = 0;                 // the last of them
  int failures_unheard = 0;              // since its last sign of life: it may be dead and not late yet
  int ejections = 0;
  Instant ejected_until = 0;
  uint64_t number = 0;                   // tells it from an earlier node of the same name
};

// Where the router is: for the round trip to nodes that were never measured.
struct Place {
  std::string region;
  double latitude = NAN, longitude = NAN;
};

class Registry {
 public:
  void set_place(Place place) { place_ = std::move(place); }
  const Place& place() const { return place_; }

  void add(const std::string& name, bool local, NodeState state, Instant now);
  void remove(const std::string& name) { nodes_.erase(name); }
  // Adds the node if it is new. False: an old one, ignored (RG1).
  bool heartbeat(const std::string& name, NodeState state, Instant now);
  // A node's answers to requests say how busy the model is (fresher than any heartbeat, where the traffic is).
  void load(const std::string& name, const std::string& model, protocol::Load load, Instant now);
  void set_draining(const std::string& name, bool draining);
  // For a local node, which sends no heartbeats: see ModelState::suspect.
  void set_suspect(const std::string& name, const std::string& model, bool suspect);
  // Forgets nodes not heard of for kNodeForgottenMs. Returns how many.
  int forget(Instant now);

  // A round trip that was measured, by a probe or by a request's first answer.
  void rtt(const std::string& name, double ms);
  // Measured; else that of measured nodes in its region; else from the distance; else by region alone.
  double rtt_ms(const Node& node) const;

  // A request goes there now. estimate_ms: to its first token (Choice::estimate_ms). Returns its number.
  uint64_t started(const std::string& name, const std::string& model, int64_t prompt_tokens, int64_t estimate_ms, Instant now);
  void first_token(uint64_t flight, Instant now);
  // How it ended. Only WorkerGone counts against the node: a request that is wrong says nothing about its
  // health. Busy keeps others away until it is heard again.
  void ended(uint64_t flight, const Error* error, Instant now);
  // Its node is dead, or has started anew since: no answer will come, though the connection may not know. Before the
  // first token a suspect node is enough. To be asked of each request under way a few times a second.
  bool stranded(uint64_t flight, Instant now) const;

  // Ids (sessions, prompt prefixes) whose first `tokens` tokens the node has likely in its cache. A hint: bounded,
  // forgotten without notice.
  void cached(uint64_t prefix, const std::string& name, int64_t tokens);
  struct Hint {
    std::string node;
    int64_t tokens = 0;
  };
  const Hint* hint(uint64_t prefix) const;

  Health health(const Node& node, Instant now) const;
  bool ejected(const Node& node, Instant now) const { return now < node.ejected_until; }
  // It has failed since it last did well: what is sent there is likely lost.
  bool doubtful(const std::string& name, Instant now) const;
  const std::map<std::string, Node>& nodes() const { return nodes_; }
  const Node* find(const std::string& name) const;

 private:
  struct Flight {
    std::string node, model;
    uint64_t node_number, boot;
    Instant began;
    int64_t estimate_ms;
    bool waiting;
    bool doubtful;  // sent where the node was suspect already: that alone does not strand it
  };
  Node* alive(const Flight& flight);  // null: that node is gone
  bool may_eject(const Node& node, Instant now) const;

  Instant silent_ms(const Node& node, Instant now) const;

  Place place_;
  std::map<std::string, Node> nodes_;  // ordered: equal inputs give equal choices
  std::unordered_map<uint64_t, Flight> flights_;
  uint64_t last_flight_ = 0, last_node_ = 0;
  std::map<std::string, double> region_rtt_ms_;  // of measured nodes
  // Two generations: when the young one is full it becomes the old one, which is dropped.
  std::unordered_map<uint64_t, Hint> hints_, old_hints_;
};

}  // namespace verge::router
