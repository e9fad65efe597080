#include "router/registry.h"

#include <algorithm>

#include "support/limits.h"

namespace verge::router {

void Registry::add(const std::string& name, bool local, NodeState state, Instant now) {
  Node& node = nodes_[name];
  node.state = std::move(state);
  node.local = local;
  node.heard_at = now;
}

void Registry::heartbeat(const std::string& name, NodeState state, Instant now) {
  Node& node = nodes_[name];
  node.state = std::move(state);
  node.heard_at = std::max(node.heard_at, now);
  node.failures_unheard = 0;
}

void Registry::set_draining(const std::string& name, bool draining) {
  if (const auto it = nodes_.find(name); it != nodes_.end()) it->second.draining = draining;
}

int Registry::forget(Instant now) {
  return static_cast<int>(std::erase_if(nodes_, [&](const auto& entry) {
    return !entry.second.local && entry.second.under_way.empty() && now - entry.second.heard_at > limits::kNodeForgottenMs;
  }));
}

bool Registry::late(const Node& node, Instant now) const { return !node.local && now - node.heard_at > limits::kNodeLateMs; }

const Node* Registry::find(const std::string& name) const {
  const auto it = nodes_.find(name);
  return it == nodes_.end() ? nullptr : &it->second;
}

void Registry::started(const std::string& name, const std::string& model) {
  if (const auto it = nodes_.find(name); it != nodes_.end()) ++it->second.under_way[model];
}

void Registry::first_token(const std::string& name, const std::string& model, int64_t ms) {
  const auto it = nodes_.find(name);
  if (it == nodes_.end()) return;
  it->second.failures = it->second.failures_unheard = 0;
  constexpr double kNew = 0.2;  // weight of the newest: about the last ten requests count
  const auto [average, first] = it->second.first_token_ms.try_emplace(model, static_cast<double>(ms));
  if (!first) average->second += kNew * (static_cast<double>(ms) - average->second);
}

bool Registry::may_eject(const Node& node, Instant now) const {
  if (node.local) return false;
  size_t usable = 0, known = 0;
  for (const auto& [name, other] : nodes_) {
    if (late(other, now)) continue;
    ++known;
    if (&other != &node && !ejected(other, now)) ++usable;
  }
  return usable >= 1 && usable * 2 >= known;
}

void Registry::ended(const std::string& name, const std::string& model, const Error* error, Instant now) {
  const auto it = nodes_.find(name);
  if (it == nodes_.end()) return;
  Node& node = it->second;
  if (const auto count = node.under_way.find(model); count != node.under_way.end() && --count->second <= 0) node.under_way.erase(count);
  if (!error || error->code != Code::WorkerGone) {
    if (!error) node.failures = node.failures_unheard = 0;
    return;
  }
  ++node.failures_unheard;
  if (++node.failures < limits::kEjectFailures || !may_eject(node, now)) return;
  node.failures = 0;
  node.ejections = std::min(node.ejections + 1, limits::kEjectMaxMs / limits::kEjectMs);
  node.ejected_until = now + int64_t{limits::kEjectMs} * node.ejections;
}

}  // namespace verge::router
