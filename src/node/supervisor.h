// One model's worker, as a state machine: load on demand, back off after a crash, quarantine a model
// that keeps crashing. Pure: events and the time go in, actions come out; node.cpp carries them out.
//
//            want                 ready
//   Cold ───────────> Loading ───────────> Ready ──┐
//    ^                   │ failed / exited    │     │ stop (evicted)
//    │ stopped           v                    v     v
//    └───────────── Backoff <──────────── (exited) Stopping
//                        │ 3 crashes within a minute
//                        v
//                   Quarantined (until the window has passed)
//
// A process that does not get on (node/liveness) is suspect while it is Ready, and killed once it is hung: that is a crash like another.
//
// V1 At most one worker process exists per Supervisor: N requests at once cause one load.
// V2 A load is never cancelled by a request that leaves.
// V3 A load that failed by itself (damaged file) is told to all waiters and is tried again only when
//    somebody asks anew; a crash is retried without telling anyone until quarantine.
// V4 A process that hangs is killed, in Loading and Ready by word of its liveness, in Stopping kStopMs after it was told to end. A load
//    that hangs kHangsOfLoad times in a row is told to all waiters.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "support/error.h"
#include "support/limits.h"

namespace verge::node {

inline constexpr int kCrashesToQuarantine = 3;
inline constexpr int64_t kCrashWindowMs = 60'000;
inline constexpr int kHangsOfLoad = 2;
inline constexpr int64_t kStopMs = limits::kDrainMs + 5'000;  // a worker ends by itself after its drain
inline constexpr int64_t kBackoffFirstMs = 50;  // the first restart is at once for a person, not a spin for a machine

class Supervisor {
 public:
  enum class State { Cold, Loading, Ready, Backoff, Stopping, Quarantined };

  // Events.
  struct Want {};                       // a request needs the model
  struct LoadReady {};                  // the worker said "ready"
  struct LoadFailed { Error error; };   // the worker said "failed"; its exit follows
  struct Exited { std::string how; };   // the process is gone ("signal 9")
  struct Stop {};                       // evict or shut down
  struct Tick {};                       // a WakeAt has come
  struct Suspected { bool now = true; };  // by its liveness, or no longer
  struct Hung { std::string why; };     // by its liveness
  using Event = std::variant<Want, LoadReady, LoadFailed, Exited, Stop, Tick, Suspected, Hung>;

  // Actions.
  struct Spawn {};
  struct Terminate {};                  // SIGTERM, the worker drains
  struct Kill {};                       // SIGKILL; its exit follows
  struct ReleaseWaiters {};             // go and send the requests
  struct FailWaiters { Error error; };
  struct WakeAt { int64_t ms; };
  using Action = std::variant<Spawn, Terminate, Kill, ReleaseWaiters, FailWaiters, WakeAt>;

  explicit Supervisor(std::string model) : model_(std::move(model)) {}

  std::vector<Action> step(const Event& event, int64_t now_ms);

  State state() const { return state_; }
  bool suspect() const { return suspect_; }
  bool hung() const { return !hung_.empty(); }  // killed, and not gone yet
  int crashes() const { return static_cast<int>(crashes_.size()); }

 private:
  std::vector<Action> on_exit(const Exited& event, int64_t now_ms);
  void forget_old_crashes(int64_t now_ms);
  Error quarantine_error(int64_t now_ms) const;

  std::string model_;
  State state_ = State::Cold;
  bool load_failed_ = false;           // "failed" was said; the exit that follows is no crash
  bool wanted_ = false;                // somebody waits
  bool suspect_ = false;
  std::string hung_;                   // why it was killed; its exit follows
  int hangs_of_load_ = 0;              // in a row
  std::deque<int64_t> crashes_;        // times within the window
  int64_t retry_at_ms_ = 0, stop_by_ms_ = 0;
  std::string last_exit_;
};

const char* to_string(Supervisor::State state);

}  // namespace verge::node
