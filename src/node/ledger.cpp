#include "node/ledger.h"

#include <algorithm>
#include <cassert>

namespace verge::node {

Ledger::Plan Ledger::plan(std::string_view model, uint64_t bytes, int64_t now_ms) const {
  if (promises_.contains(model)) return {};
  return room_for(model, bytes, reserved_, now_ms);
}

Ledger::Plan Ledger::room_for(std::string_view model, uint64_t bytes, uint64_t others, int64_t now_ms) const {
  if (bytes > budget_) return {.kind = Plan::Kind::Never, .evict = {}, .wait_ms = 0};
  if (others <= budget_ - bytes) return {};

  struct Victim {
    std::string name;
    uint64_t bytes;
    int64_t last_used_ms;
  };
  std::vector<Victim> victims;
  int64_t wait_ms = kMinimumResidenceMs;
  uint64_t pinned = 0;
  for (const auto& [name, promise] : promises_) {
    if (name == model) continue;
    if (promise.pinned) {
      pinned += promise.bytes;
      continue;
    }
    const int64_t age = now_ms - promise.since_ms;
    if (promise.in_flight > 0) continue;
    if (age < kMinimumResidenceMs) {
      wait_ms = std::min(wait_ms, kMinimumResidenceMs - age);
      continue;
    }
    victims.push_back({name, promise.bytes, promise.last_used_ms});
  }
  if (pinned + bytes > budget_) return {.kind = Plan::Kind::Never, .evict = {}, .wait_ms = 0};
  std::sort(victims.begin(), victims.end(), [](const Victim& a, const Victim& b) { return a.last_used_ms < b.last_used_ms; });
  Plan plan{.kind = Plan::Kind::EvictFirst, .evict = {}, .wait_ms = 0};
  uint64_t left = others;
  for (const Victim& victim : victims) {
    plan.evict.push_back(victim.name);
    left -= victim.bytes;
    if (left + bytes <= budget_) return plan;
  }
  return {.kind = Plan::Kind::WaitFor, .evict = {}, .wait_ms = std::max<int64_t>(wait_ms, 100)};
}

bool Ledger::reserve(const std::string& model, uint64_t bytes, bool pinned, int64_t now_ms) {
  if (promises_.contains(model)) return true;
  if (bytes > budget_ || reserved_ > budget_ - bytes) return false;
  promises_[model] = {.bytes = bytes, .pinned = pinned, .in_flight = 0, .since_ms = now_ms, .last_used_ms = now_ms};
  reserved_ += bytes;
  assert(reserved_ <= budget_);
  return true;
}

Ledger::Plan Ledger::adjust(std::string_view model, uint64_t bytes, int64_t now_ms) {
  auto it = promises_.find(model);
  if (it == promises_.end()) return {};
  const uint64_t others = reserved_ - it->second.bytes;
  it->second.bytes = std::min(bytes, UINT64_MAX / 2 - std::min(others, UINT64_MAX / 2));
  reserved_ = others + it->second.bytes;
  return room_for(model, it->second.bytes, others, now_ms);
}

void Ledger::release(std::string_view model) {
  auto it = promises_.find(model);
  if (it == promises_.end()) return;
  reserved_ -= it->second.bytes;
  promises_.erase(it);
}

void Ledger::touch(std::string_view model, int in_flight, int64_t now_ms) {
  auto it = promises_.find(model);
  if (it == promises_.end()) return;
  it->second.in_flight = in_flight;
  it->second.last_used_ms = now_ms;
}

}  // namespace verge::node
