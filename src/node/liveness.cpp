#include "node/liveness.h"

#include <fmt/format.h>

#include <algorithm>

namespace verge::node {

void Liveness::started(uint64_t bytes) {
  loading_ = true;
  asked_ = false;
  bytes_ = bytes;
  last_tick_ms_ = -1;
  silent_ms_ = 0;
  units_.clear();
  state_ = State::Well;
  why_.clear();
}

void Liveness::load_line() { silent_ms_ = 0; }

void Liveness::ready() {
  loading_ = false;
  silent_ms_ = 0;
}

void Liveness::heard(const std::vector<protocol::Progress>& work) {
  asked_ = false;
  silent_ms_ = 0;
  for (const protocol::Progress& one : work) {
    Unit& unit = units_[one.what];
    if (!one.busy || !unit.last.busy || one.number != unit.last.number) unit.stuck_ms = 0;
    unit.last = one;
  }
}

Liveness::State Liveness::judge(int64_t ms, int64_t bound_ms, std::string why) {
  const State state = ms >= bound_ms ? State::Hung : ms >= bound_ms / kSuspectPart ? State::Suspect : State::Well;
  if (state > state_) {
    state_ = state;
    why_ = std::move(why);
  }
  return state;
}

Liveness::State Liveness::tick(int64_t now_ms) {
  const int64_t lived_ms = last_tick_ms_ < 0 ? 0 : std::clamp<int64_t>(now_ms - last_tick_ms_, 0, kMostTickMs);
  last_tick_ms_ = now_ms;
  state_ = State::Well;
  if (loading_ || asked_) silent_ms_ += lived_ms;
  if (loading_) {
    const auto slow_ms = static_cast<int64_t>(bytes_ / (kLoadBytesPerSecond / 1000));
    judge(silent_ms_, floor_ms_ + slow_ms, fmt::format("it has loaded nothing for {} s", silent_ms_ / 1000));
    return state_;
  }
  judge(silent_ms_, floor_ms_, fmt::format("it has not answered for {} s", silent_ms_ / 1000));
  for (auto& [what, unit] : units_) {
    if (!unit.last.busy) continue;
    // Nothing is known of the work of a process that does not answer.
    if (!asked_) unit.stuck_ms += lived_ms;
    judge(unit.stuck_ms, std::max(floor_ms_, kHungTimes * unit.last.expected_ms), fmt::format("its {} has not ended for {} s", what, unit.stuck_ms / 1000));
  }
  return state_;
}

}  // namespace verge::node
