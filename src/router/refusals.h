// Requests that were refused for their wait, remembered for a moment: what a tenant sends next would fare the same, and asking
// again costs the nodes more than it brings. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "router/attempts.h"

namespace verge::router {

class Refusals {
 public:
  void remember(const std::string& model, const std::string& tenant, const Error& error, Instant now) {
    if (refused_.size() >= kMost) std::erase_if(refused_, [now](const auto& one) { return one.second.until <= now; });
    if (refused_.size() < kMost) refused_[{model, tenant}] = {error, now + limits::kRefusedMs};
  }
  // How the request would fare, where that is known.
  std::optional<Error> recall(const std::string& model, const std::string& tenant, Instant now) {
    const auto it = refused_.find({model, tenant});
    if (it == refused_.end()) return std::nullopt;
    if (now < it->second.until) return it->second.error;
    refused_.erase(it);
    return std::nullopt;
  }

 private:
  static constexpr size_t kMost = 1000;
  struct Refused {
    Error error;
    Instant until = 0;
  };
  std::map<std::pair<std::string, std::string>, Refused> refused_;
};

}  // namespace verge::router
