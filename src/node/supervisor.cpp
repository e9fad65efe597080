#include "node/supervisor.h"

#include <algorithm>
#include <utility>

namespace verge::node {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

void Supervisor::forget_old_crashes(int64_t now_ms) {
  while (!crashes_.empty() && crashes_.front() + kCrashWindowMs <= now_ms) crashes_.pop_front();
}

Error Supervisor::quarantine_error(int64_t now_ms) const {
  Error error = fail(Code::Busy, "model {} crashed {} times within a minute (last: {}) and rests; see the log", model_, crashes_.size(), last_exit_);
  error.retry_after_ms = std::max<int64_t>(1, crashes_.front() + kCrashWindowMs - now_ms);
  return error;
}

std::vector<Supervisor::Action> Supervisor::on_exit(const Exited& event, int64_t now_ms) {
  const State before = state_;
  const std::string hung = std::exchange(hung_, "");
  suspect_ = false;
  if (before == State::Cold || before == State::Backoff || before == State::Quarantined) return {};
  if (load_failed_) {  // V3: the waiters were told when it failed
    load_failed_ = false;
    state_ = State::Cold;
    if (!wanted_) return {};
    wanted_ = false;
    return step(Want{}, now_ms);
  }
  if (before == State::Stopping) {
    state_ = State::Cold;
    if (!wanted_) return {};
    return step(Want{}, now_ms);
  }
  last_exit_ = hung.empty() ? event.how : "hung: " + hung;
  if (before == State::Loading && !hung.empty() && ++hangs_of_load_ >= kHangsOfLoad) {
    hangs_of_load_ = 0;
    state_ = State::Cold;
    wanted_ = false;
    return {FailWaiters{fail(Code::LoadFailed, "the process of model {} stood still while it loaded, {} times: {}", model_, kHangsOfLoad, hung)}};
  }
  crashes_.push_back(now_ms);
  forget_old_crashes(now_ms);
  if (static_cast<int>(crashes_.size()) >= kCrashesToQuarantine) {
    state_ = State::Quarantined;
    retry_at_ms_ = crashes_.front() + kCrashWindowMs;
    wanted_ = false;
    return {FailWaiters{quarantine_error(now_ms)}, WakeAt{retry_at_ms_}};
  }
  state_ = State::Backoff;
  retry_at_ms_ = now_ms + kBackoffFirstMs * (int64_t{1} << (2 * (crashes_.size() - 1)));
  return {WakeAt{retry_at_ms_}};
}

std::vector<Supervisor::Action> Supervisor::step(const Event& event, int64_t now_ms) {
  forget_old_crashes(now_ms);
  return std::visit(
      Overloaded{
          [&](const Want&) -> std::vector<Action> {
            switch (state_) {
              case State::Ready: return {ReleaseWaiters{}};
              case State::Cold:
                state_ = State::Loading;
                load_failed_ = false;
                wanted_ = true;
                return {Spawn{}};
              case State::Quarantined:
                if (static_cast<int>(crashes_.size()) >= kCrashesToQuarantine) return {FailWaiters{quarantine_error(now_ms)}};
                state_ = State::Loading;
                wanted_ = true;
                return {Spawn{}};
              case State::Loading:
              case State::Backoff:
              case State::Stopping: wanted_ = true; return {};
            }
            return {};
          },
          [&](const LoadReady&) -> std::vector<Action> {
            if (state_ != State::Loading) return {};
            state_ = State::Ready;
            wanted_ = false;
            hangs_of_load_ = 0;
            return {ReleaseWaiters{}};
          },
          [&](const LoadFailed& failed) -> std::vector<Action> {
            if (state_ != State::Loading) return {};
            load_failed_ = true;
            wanted_ = false;
            return {FailWaiters{failed.error}};
          },
          [&](const Exited& exited) -> std::vector<Action> { return on_exit(exited, now_ms); },
          [&](const Stop&) -> std::vector<Action> {
            switch (state_) {
              case State::Ready:
              case State::Loading:
                state_ = State::Stopping;
                suspect_ = false;
                stop_by_ms_ = now_ms + kStopMs;
                return {Terminate{}, WakeAt{stop_by_ms_}};
              case State::Backoff:
                state_ = State::Cold;
                wanted_ = false;
                return {FailWaiters{fail(Code::Busy, "model {} was stopped", model_)}};
              default: return {};
            }
          },
          [&](const Tick&) -> std::vector<Action> {
            if (state_ == State::Backoff) {
              if (now_ms < retry_at_ms_) return {WakeAt{retry_at_ms_}};
              if (!wanted_) {
                state_ = State::Cold;
                return {};
              }
              state_ = State::Loading;
              return {Spawn{}};
            }
            if (state_ == State::Stopping) {
              if (now_ms < stop_by_ms_) return {WakeAt{stop_by_ms_}};
              return {Kill{}};
            }
            if (state_ == State::Quarantined && now_ms >= retry_at_ms_) state_ = State::Cold;
            return {};
          },
          [&](const Suspected& suspected) -> std::vector<Action> {
            suspect_ = suspected.now && state_ == State::Ready;
            return {};
          },
          [&](const Hung& hung) -> std::vector<Action> {
            if (!hung_.empty() || (state_ != State::Ready && state_ != State::Loading)) return {};
            hung_ = hung.why;
            return {Kill{}};
          },
      },
      event);
}

const char* to_string(Supervisor::State state) {
  switch (state) {
    case Supervisor::State::Cold: return "cold";
    case Supervisor::State::Loading: return "loading";
    case Supervisor::State::Ready: return "ready";
    case Supervisor::State::Backoff: return "restarting";
    case Supervisor::State::Stopping: return "stopping";
    case Supervisor::State::Quarantined: return "quarantined";
  }
  return "?";
}

}  // namespace verge::node
