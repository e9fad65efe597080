#include "router/capacity.h"

#include <algorithm>

namespace verge::router {
namespace {
constexpr int kLookAhead = 8;
}

CapacityQueue::Entered CapacityQueue::enter(uint64_t id, const std::string& tenant, const std::string& model, int64_t work, Instant deadline, Instant now) {
  Entered entered;
  if (deadline && now >= deadline) return entered;
  if (where_.size() >= most_) {
    const auto most = std::max_element(held_.begin(), held_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto own = held_.find(tenant);
    if (most == held_.end() || (own == held_.end() ? 0 : own->second) + 1 >= most->second) return entered;
    for (const auto& [other, where] : where_) {
      // The newest has the highest order.
      const Waiting& waiting = lines_[where.model].waiting.at(where.key);
      if (waiting.tenant != most->first) continue;
      if (!entered.pushed_out || where_.at(entered.pushed_out).key.second < where.key.second) entered.pushed_out = other;
    }
    erase(entered.pushed_out);
  }
  entered.in = true;
  Line& line = lines_[model];
  double& finish = line.finish[tenant];
  const double start = std::max(line.now, finish);
  finish = start + static_cast<double>(std::max<int64_t>(1, work));
  const Instant until = now + limits::kRoomWaitMs;
  const Key key{start, ++order_};
  line.waiting.emplace(key, Waiting{id, tenant, deadline ? std::min(until, deadline) : until, start});
  where_[id] = {model, key};
  ++held_[tenant];
  return entered;
}

void CapacityQueue::erase(uint64_t id) {
  const auto it = where_.find(id);
  if (it == where_.end()) return;
  const auto line = lines_.find(it->second.model);
  const auto waiting = line->second.waiting.find(it->second.key);
  const auto held = held_.find(waiting->second.tenant);
  if (--held->second == 0) held_.erase(held);
  line->second.waiting.erase(waiting);
  if (line->second.waiting.empty()) lines_.erase(line);
  where_.erase(it);
}

void CapacityQueue::leave(uint64_t id) { erase(id); }

void CapacityQueue::release(Instant now, const std::function<bool(uint64_t id)>& start) {
  std::vector<std::string> models;
  for (const auto& [model, line] : lines_) models.push_back(model);
  for (const std::string& model : models) {
    for (bool one = true; one;) {
      one = false;
      const auto line = lines_.find(model);
      if (line == lines_.end()) break;
      int looked = 0;
      std::vector<std::pair<Key, uint64_t>> first;
      for (auto it = line->second.waiting.begin(); it != line->second.waiting.end() && looked < kLookAhead; ++it, ++looked) first.emplace_back(it->first, it->second.id);
      for (const auto& [key, id] : first) {
        if (!start(id)) continue;
        line->second.now = std::max(line->second.now, key.first);
        std::erase_if(line->second.finish, [&](const auto& tenant) { return tenant.second <= line->second.now; });
        Pace& pace = paces_[model];
        if (pace.last) pace.gap_ms += 0.2 * (static_cast<double>(std::min<Instant>(now - pace.last, limits::kRoomWaitMs)) - pace.gap_ms);
        pace.last = now;
        if (paces_.size() > limits::kDemandModels) paces_.clear();
        erase(id);
        one = true;
        break;
      }
    }
  }
}

std::vector<uint64_t> CapacityQueue::expire(Instant now) {
  std::vector<uint64_t> over;
  for (const auto& [model, line] : lines_)
    for (const auto& [key, waiting] : line.waiting)
      if (now >= waiting.until) over.push_back(waiting.id);
  for (uint64_t id : over) erase(id);
  return over;
}

int64_t CapacityQueue::retry_after_ms(const std::string& model) const {
  const auto line = lines_.find(model);
  const auto pace = paces_.find(model);
  const double waiting = line == lines_.end() ? 1 : static_cast<double>(line->second.waiting.size()) + 1;
  return std::clamp<int64_t>(static_cast<int64_t>(waiting * (pace == paces_.end() ? 1000 : pace->second.gap_ms)), 1000, limits::kRetryAfterMaxMs);
}

}  // namespace verge::router
