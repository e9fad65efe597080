#include "sim/report.h"

#include <algorithm>
#include <numeric>

#include "support/random.h"

namespace verge::sim {

void Report::add(const Report& other) {
  hash = mix64(hash ^ other.hash);
  events += other.events;
  simulated_s += other.simulated_s;
  requests += other.requests;
  errors += other.errors;
  avoidable += other.avoidable;
  refused += other.refused;
  overshoot = std::max(overshoot, other.overshoot);
  cold_loads += other.cold_loads;
  retries += other.retries;
  waited += other.waited;
  faults += other.faults;
  broken += other.broken;
  bytes_far += other.bytes_far;
  cached_tokens += other.cached_tokens;
  prompt_tokens += other.prompt_tokens;
  ttft_ms.insert(ttft_ms.end(), other.ttft_ms.begin(), other.ttft_ms.end());
  served_from.resize(std::max(served_from.size(), other.served_from.size()));
  for (size_t i = 0; i < other.served_from.size(); ++i) served_from[i] += other.served_from[i];
  violations.insert(violations.end(), other.violations.begin(), other.violations.end());
  for (const std::string& why : other.whys)
    if (whys.size() < 30) whys.push_back(why);
}

double Report::mean() const { return ttft_ms.empty() ? 0 : std::accumulate(ttft_ms.begin(), ttft_ms.end(), 0.0) / static_cast<double>(ttft_ms.size()); }

double Report::quantile(double q) const {
  if (ttft_ms.empty()) return 0;
  std::vector<float> sorted = ttft_ms;
  const auto at = sorted.begin() + static_cast<long>(q * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), at, sorted.end());
  return *at;
}

}  // namespace verge::sim
