// Whether a model's process works still, by what it gets done. Pure: what was heard of the process and the time go in.
//
// A process is asked for its status once in a while. It is suspect, and then hung, where it does not answer; where it answers, but a unit
// of its work (a step, a batch) takes many times as long as its size and the measured rate let expect; and where it loads without a sign of
// getting on. No bound is shorter than the floor, which no slow or crowded machine reaches.
//
// H1 Only time that this judge has lived through counts: of the time between two ticks never more than kMostTickMs. A machine that was
//    suspended, or a server that was stopped, finds its processes as well as it left them.
// H2 A unit of work that ends, an answer, a line of the load: each begins the count of its kind anew.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "protocol/progress.h"

namespace verge::node {

inline constexpr int64_t kHungFloorMs = 30'000;
inline constexpr int64_t kSuspectPart = 6;              // of a bound: from there on the process is suspect
inline constexpr int64_t kHungTimes = 20;               // of what a unit of work was expected to take
inline constexpr int64_t kMostTickMs = 2'000;
inline constexpr uint64_t kLoadBytesPerSecond = 20'000'000;  // a load that is slower, whole, than a slow network disk may be hung

class Liveness {
 public:
  enum class State { Well, Suspect, Hung };

  explicit Liveness(int64_t floor_ms = kHungFloorMs) : floor_ms_(floor_ms) {}

  // A new process, which loads files of so many bytes.
  void started(uint64_t bytes);
  void load_line();
  void ready();
  // It was asked and has not answered yet. Until heard() silence counts.
  void asked() { asked_ = !loading_; }
  void heard(const std::vector<protocol::Progress>& work);

  // Time goes on. `now_ms`: of a clock that never goes back.
  State tick(int64_t now_ms);
  State state() const { return state_; }
  const std::string& why() const { return why_; }  // of Suspect and Hung, for the log

 private:
  struct Unit {
    protocol::Progress last;
    int64_t stuck_ms = 0;
  };
  State judge(int64_t ms, int64_t bound_ms, std::string why);

  int64_t floor_ms_;
  bool loading_ = false, asked_ = false;
  uint64_t bytes_ = 0;
  int64_t last_tick_ms_ = -1;
  int64_t silent_ms_ = 0;  // since the last answer, or the last line of the load
  std::map<std::string, Unit> units_;
  State state_ = State::Well;
  std::string why_;
};

}  // namespace verge::node
