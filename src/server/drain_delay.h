// How long a server that was told to end still takes connections, while /readyz answers 503: a load
// balancer sends it clients until it has asked again. Pure: the time comes in.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>

namespace verge::server {

inline constexpr int kDrainDelayS = 5;
inline constexpr int64_t kWatchedMs = 60'000;  // balancers and Kubernetes ask more often than that

class DrainDelay {
 public:
  // Without `seconds`: kDrainDelayS if somebody watches /readyz, else none.
  explicit DrainDelay(std::optional<int> seconds) : seconds_(seconds) {}

  void asked(int64_t now_ms) { asked_ms_ = now_ms; }  // /readyz, by anybody

  // Ctrl-C is a person's, who waits for the prompt.
  int seconds(int signal, int64_t now_ms) const {
    if (signal == SIGINT) return 0;
    if (seconds_) return *seconds_;
    return asked_ms_ && now_ms - *asked_ms_ <= kWatchedMs ? kDrainDelayS : 0;
  }

 private:
  std::optional<int> seconds_;
  std::optional<int64_t> asked_ms_;
};

}  // namespace verge::server
