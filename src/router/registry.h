// What the router knows about nodes. Pure: times are arguments, in ms of a clock that never goes back.
//
// A node says about itself, in heartbeats, which models it holds and how busy they are; the router adds
// what it saw with its own eyes: requests that it has under way there, time to first token, failures.
// A remote node whose heartbeats stop is late, then forgotten. A node that fails kEjectFailures times in
// a row is ejected for a while, longer each time, unless that would leave fewer than half of the nodes:
// when most fail, the fault is elsewhere, and a router without nodes helps nobody.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "support/error.h"

namespace verge::router {

using Instant = int64_t;  // ms

struct ModelState {
  bool loaded = false;
  int queued = 0;            // waiting
  int running = 0;           // in the batch
  int first_token_ms = 200;  // of a request that does not wait
  int load_ms = 10'000;      // where not loaded
};

struct NodeState {
  std::map<std::string, ModelState> models;  // loaded, or on its disk
  bool any_model = false;                    // the node decides by itself what it can serve
  int64_t memory_free_bytes = INT64_MAX;
  int slots = 64;                            // sequences of one step
  int rtt_ms = 0;
  bool draining = false;
};

struct Node {
  NodeState state;
  bool local = false;   // in this process: never late, never ejected
  bool draining = false;  // asked for by the operator; state.draining is the node's own word
  Instant heard_at = 0;
  // Own observations.
  std::map<std::string, int> under_way;            // requests, by model
  std::map<std::string, double> first_token_ms;    // moving average, by model
  int failures = 0;                                // in a row
  int failures_unheard = 0;                        // since its last sign of life: it may be dead and not late yet
  int ejections = 0;
  Instant ejected_until = 0;
};

class Registry {
 public:
  void add(const std::string& name, bool local, NodeState state, Instant now);
  void remove(const std::string& name) { nodes_.erase(name); }
  void heartbeat(const std::string& name, NodeState state, Instant now);  // adds it if it is new
  void set_draining(const std::string& name, bool draining);
  // Forgets nodes not heard of for kNodeForgottenMs. Returns how many.
  int forget(Instant now);

  void started(const std::string& name, const std::string& model);
  void first_token(const std::string& name, const std::string& model, int64_t ms);
  // How the request ended there. Only WorkerGone counts against the node: a request that is wrong, or a
  // queue that is full, says nothing about its health.
  void ended(const std::string& name, const std::string& model, const Error* error, Instant now);

  bool late(const Node& node, Instant now) const;
  bool ejected(const Node& node, Instant now) const { return now < node.ejected_until; }
  const std::map<std::string, Node>& nodes() const { return nodes_; }
  const Node* find(const std::string& name) const;

 private:
  bool may_eject(const Node& node, Instant now) const;
  std::map<std::string, Node> nodes_;  // ordered: equal inputs give equal choices
};

}  // namespace verge::router
