#include "router/registry.h"

#include <algorithm>

#include "router/attempts.h"
#include "support/promise.h"

namespace verge::router {
namespace {

constexpr double kNewest = 0.2;          // its weight in moving averages: about the last ten count
constexpr double kSameRegionMs = 2;
constexpr double kOtherRegionMs = 120;   // where nothing else is known
constexpr double kLeastMs = 0.1;
constexpr int kFullMs = 500;             // a node that said busy is left alone so long, unless it is heard before

// Light in fibre makes 200 km/ms; routes are about 1.6 times the great circle, and there and back is twice.
constexpr double kKmPerMs = 200 / 1.6 / 2;

double distance_km(double lat1, double lon1, double lat2, double lon2) {
  constexpr double kDegree = M_PI / 180, kEarthKm = 6371;
  const double a = std::pow(std::sin((lat2 - lat1) * kDegree / 2), 2) +
                   std::cos(lat1 * kDegree) * std::cos(lat2 * kDegree) * std::pow(std::sin((lon2 - lon1) * kDegree / 2), 2);
  return 2 * kEarthKm * std::asin(std::sqrt(std::clamp(a, 0.0, 1.0)));
}

// Heartbeats are other machines' words: what no machine can be is brought within bounds.
void tame(NodeState& state) {
  for (auto& [name, model] : state.models) {
    model.queued = std::max(0, model.queued);
    model.running = std::max(0, model.running);
    model.queued_tokens = std::max<int64_t>(0, model.queued_tokens);
    if (!(model.prefill_tokens_per_s > 0 && model.prefill_tokens_per_s < 1e9)) model.prefill_tokens_per_s = 0;
    model.first_token_ms = std::clamp(model.first_token_ms, -1, 600'000);
    model.load_ms = std::clamp(model.load_ms, 0, limits::kLoadTimeMs);
    model.slots = std::clamp(model.slots, 1, 1 << 16);
    model.slot_ms = std::clamp(model.slot_ms, 0, 3'600'000);
    model.wait_slots = std::clamp(model.wait_slots, 0, 1 << 20);
  }
}

// A queue of prompts lives a tenth of a second, a heartbeat a whole one: what was said counts for a while, what is
// usual there after it.
constexpr double kNewestLoad = 0.25;  // its weight in the means

void carry_means(const NodeState& before, NodeState& now, Instant heard_at) {
  auto old = before.models.begin();
  for (auto& [name, model] : now.models) {
    model.heard_at = heard_at;
    while (old != before.models.end() && old->first < name) ++old;
    if (old == before.models.end() || old->first != name) {
      model.mean_queued = model.queued;
      model.mean_queued_tokens = static_cast<double>(model.queued_tokens);
      continue;
    }
    model.mean_queued = old->second.mean_queued + kNewestLoad * (model.queued - old->second.mean_queued);
    model.mean_queued_tokens = old->second.mean_queued_tokens + kNewestLoad * (static_cast<double>(model.queued_tokens) - old->second.mean_queued_tokens);
  }
}

}  // namespace

void Registry::add(const std::string& name, bool local, NodeState state, Instant now) {
  Node& node = nodes_[name];
  tame(state);
  carry_means(node.state, state, now);
  node.state = std::move(state);
  node.local = local;
  node.heard_at = now;
  if (!node.number) node.number = ++last_node_;
}

bool Registry::heartbeat(const std::string& name, NodeState state, Instant now) {
  const auto [it, is_new] = nodes_.try_emplace(name);
  Node& node = it->second;
  if (is_new) node.number = ++last_node_;
  if (!is_new && (state.boot < node.state.boot || (state.boot == node.state.boot && state.boot && state.sequence <= node.state.sequence))) return false;
  if (!is_new && state.boot > node.state.boot && node.state.boot) {
    // Another life: what was seen of the last one says nothing about it. Its requests are lost, which their connections tell.
    node.failures = node.ejections = 0;
    node.ejected_until = 0;
    for (auto& [model, seen] : node.seen) seen.late_ms = 0;
  }
  tame(state);
  carry_means(node.state, state, now);
  node.state = std::move(state);
  node.heard_at = std::max(node.heard_at, now);
  node.failures_unheard = 0;
  for (auto& [model, seen] : node.seen) seen.full_until = 0;
  VERGE_EXPECT(node.number != 0 && health(node, node.heard_at) == Health::Well, "a node that was heard just now is well");
  return true;
}

void Registry::load(const std::string& name, const std::string& model, protocol::Load load, Instant now) {
  const auto node = nodes_.find(name);
  if (node == nodes_.end()) return;
  const auto held = node->second.state.models.find(model);
  if (held == node->second.state.models.end()) return;
  ModelState& state = held->second;
  state.queued = std::max(0, load.queued);
  state.running = std::max(0, load.running);
  state.queued_tokens = std::max<int64_t>(0, load.queued_tokens);
  // The more often it speaks, the less each word moves the mean: the weight of a heartbeat for each second.
  const double weight = kNewestLoad * std::min(1.0, static_cast<double>(now - state.heard_at) / 1000);
  state.mean_queued += weight * (state.queued - state.mean_queued);
  state.mean_queued_tokens += weight * (static_cast<double>(state.queued_tokens) - state.mean_queued_tokens);
  state.heard_at = now;
}

void Registry::set_draining(const std::string& name, bool draining) {
  if (const auto it = nodes_.find(name); it != nodes_.end()) it->second.draining = draining;
}

void Registry::set_suspect(const std::string& name, const std::string& model, bool suspect) {
  if (const auto it = nodes_.find(name); it != nodes_.end()) it->second.seen[model].suspect = suspect;
}

int Registry::forget(Instant now) {
  return static_cast<int>(std::erase_if(nodes_, [&](const auto& entry) {
    const Node& node = entry.second;
    const bool idle = std::all_of(node.seen.begin(), node.seen.end(), [](const auto& seen) { return seen.second.under_way == 0; });
    return idle && protocol::forgotten_after(silent_ms(node, now));
  }));
}

Instant Registry::silent_ms(const Node& node, Instant now) const {
  if (node.local) return 0;
  return now - node.heard_at;
}

Health Registry::health(const Node& node, Instant now) const {
  return protocol::health_after(silent_ms(node, now));
}

const Node* Registry::find(const std::string& name) const {
  const auto it = nodes_.find(name);
  return it == nodes_.end() ? nullptr : &it->second;
}

void Registry::rtt(const std::string& name, double ms) {
  const auto it = nodes_.find(name);
  if (it == nodes_.end() || !(ms >= 0 && ms < 600'000)) return;
  Node& node = it->second;
  // A slow answer is a busy machine more often than a long way: of the newest few only the least counts.
  node.round_trips[node.round_trips_seen++ % node.round_trips.size()] = static_cast<float>(ms);
  const size_t known = std::min<size_t>(node.round_trips_seen, node.round_trips.size());
  const double least = *std::min_element(node.round_trips.begin(), node.round_trips.begin() + static_cast<long>(known));
  node.rtt_ms = node.round_trips_seen == 1 ? least : std::min(node.rtt_ms + kNewest * (least - node.rtt_ms), std::max(least * 2, kLeastMs));
  const auto [region, first] = region_rtt_ms_.try_emplace(node.state.region, node.rtt_ms);
  if (!first) region->second += kNewest * (node.rtt_ms - region->second);
}

double Registry::rtt_ms(const Node& node) const {
  if (node.local) return 0;
  if (node.round_trips_seen) return std::max(kLeastMs, node.rtt_ms);
  const NodeState& state = node.state;
  if (state.region.empty() && std::isnan(state.latitude)) return kSameRegionMs;  // one region, or nobody says
  if (const auto region = region_rtt_ms_.find(state.region); region != region_rtt_ms_.end()) return std::max(kLeastMs, region->second);
  if (state.region == place_.region) return kSameRegionMs;
  const double km = distance_km(state.latitude, state.longitude, place_.latitude, place_.longitude);
  return std::isnan(km) ? kOtherRegionMs : kSameRegionMs + km / kKmPerMs;
}

bool Registry::doubtful(const std::string& name, Instant now) const {
  const Node* node = find(name);
  return node && (node->failures > 0 || ejected(*node, now));
}

uint64_t Registry::started(const std::string& name, const std::string& model, int64_t prompt_tokens, int64_t estimate_ms, Instant now) {
  const uint64_t flight = ++last_flight_;
  const auto it = nodes_.find(name);
  if (it == nodes_.end()) return flight;
  Seen& seen = it->second.seen[model];
  ++seen.under_way;
  seen.waiting.emplace_hint(seen.waiting.end(), flight, Seen::Waiting{now, prompt_tokens, estimate_ms});
  flights_.emplace(flight, Flight{name, model, it->second.number, it->second.state.boot, now, estimate_ms, true, health(it->second, now) >= Health::Suspect});
  return flight;
}

Node* Registry::alive(const Flight& flight) {
  const auto it = nodes_.find(flight.node);
  return it == nodes_.end() || it->second.number != flight.node_number ? nullptr : &it->second;
}

void Registry::first_token(uint64_t number, Instant now) {
  const auto it = flights_.find(number);
  if (it == flights_.end() || !it->second.waiting) return;
  Flight& flight = it->second;
  flight.waiting = false;
  Node* node = alive(flight);
  if (!node) return;
  node->failures = node->failures_unheard = 0;
  Seen& seen = node->seen[flight.model];
  seen.waiting.erase(number);
  seen.late_ms += kNewest * (static_cast<double>(now - flight.began - flight.estimate_ms) - seen.late_ms);
  seen.late_at = now;
}

bool Registry::may_eject(const Node& node, Instant now) const {
  if (node.local) return false;
  size_t usable = 0, known = 0;
  for (const auto& [name, other] : nodes_) {
    if (health(other, now) == Health::Dead) continue;
    ++known;
    if (&other != &node && !ejected(other, now)) ++usable;
  }
  return usable >= 1 && usable * 2 >= known;
}

void Registry::ended(uint64_t number, const Error* error, Instant now) {
  const auto it = flights_.find(number);
  if (it == flights_.end()) return;
  const Flight flight = std::move(it->second);
  flights_.erase(it);
  Node* found = alive(flight);
  if (!found) return;
  Node& node = *found;
  Seen& seen = node.seen[flight.model];
  VERGE_EXPECT(seen.under_way > 0 && seen.waiting.size() <= static_cast<size_t>(seen.under_way), "a request that ends was counted as under way");
  --seen.under_way;
  seen.waiting.erase(number);
  if (error && error->code == Code::Busy && !refused_for_wait(*error)) seen.full_until = now + kFullMs;  // else others may have room there
  if (!error || error->code != Code::WorkerGone) {
    if (!error) {
      node.failures = node.failures_unheard = 0;
      node.ejected_until = 0;
    }
    return;
  }
  ++node.failures_unheard;
  node.failed_at = now;
  if (++node.failures < limits::kEjectFailures || !may_eject(node, now)) return;
  node.failures = 0;
  node.ejections = std::min(node.ejections + 1, limits::kEjectMaxMs / limits::kEjectMs);
  node.ejected_until = now + int64_t{limits::kEjectMs} * node.ejections;
}

bool Registry::stranded(uint64_t number, Instant now) const {
  const auto flight = flights_.find(number);
  if (flight == flights_.end()) return false;
  const Node* node = find(flight->second.node);
  const Health over = flight->second.waiting && !flight->second.doubtful ? Health::Suspect : Health::Dead;
  return !node || node->number != flight->second.node_number || node->state.boot != flight->second.boot || health(*node, now) >= over;
}

void Registry::cached(uint64_t prefix, const std::string& name, int64_t tokens) {
  if (hints_.size() >= limits::kPrefixHints) {
    old_hints_ = std::move(hints_);
    hints_.clear();
  }
  hints_[prefix] = {name, tokens};
}

const Registry::Hint* Registry::hint(uint64_t prefix) const {
  if (const auto it = hints_.find(prefix); it != hints_.end()) return &it->second;
  const auto it = old_hints_.find(prefix);
  return it == old_hints_.end() ? nullptr : &it->second;
}

}  // namespace verge::router
