#include "cluster/members.h"

#include <algorithm>

#include "protocol/liveness.h"
#include "support/limits.h"
#include "support/random.h"

namespace verge::cluster {
namespace {

// A fifth to either side, from the name and the time: programs that start together do not probe together for ever.
Instant with_jitter(int ms, const std::string& name, Instant now) {
  uint64_t seed = static_cast<uint64_t>(now);
  for (unsigned char c : name) seed = mix64(seed ^ c);
  return static_cast<Instant>(ms * (0.8 + 0.4 * unit_at(seed, 0)));
}

bool dead(const Members::Member& member, Instant now) { return protocol::health_after(now - member.heard_at) == protocol::Health::Dead; }

}  // namespace

const Members::Member* Members::find(const std::string& name) const {
  const auto it = members_.find(name);
  return it == members_.end() ? nullptr : &it->second;
}

void Members::add(const std::string& name, int n) {
  if (const auto it = members_.find(name); it != members_.end()) it->second.under_way = std::max(0, it->second.under_way + n);
}

bool Members::reachable(const Member& member, Instant now) const {
  return member.last.boot != 0 && !member.cut && !dead(member, now);
}

void Members::cut(Member& member, std::string why, Actions& out) {
  if (member.cut) return;
  member.cut = true;
  out.push_back(Cut{member.last.name, std::move(why)});
}

Members::Actions Members::news(const Heartbeat& heartbeat, Instant now, bool direct) {
  Actions out;
  auto it = members_.find(heartbeat.name);
  const bool known = it != members_.end() && it->second.last.boot != 0;
  if (known) {
    const Heartbeat& last = it->second.last;
    if (!dead(it->second, now) && heartbeat.boot < last.boot) return out;
    if (heartbeat.boot == last.boot && heartbeat.sequence < last.sequence) return out;
    // Equal: the same message by another way, or twice. It is no newer sign of life, unless the node itself was asked.
    if (heartbeat.boot == last.boot && heartbeat.sequence == last.sequence && !direct) return out;
  }
  if (heartbeat.leaving) {
    if (known) {
      // Its last word: whatever is still under way there ends by itself, or with its connections.
      members_.erase(it);
      out.push_back(Leave{heartbeat.name});
    }
    return out;
  }
  if (it == members_.end()) {
    if (members_.size() >= limits::kClusterNodes) {
      if (!std::exchange(full_, true)) out.push_back(Warn{fmt::format("more than {} nodes: {} and later ones are left out", limits::kClusterNodes, heartbeat.name)});
      return out;
    }
    it = members_.try_emplace(heartbeat.name).first;
    it->second.last.address.clear();
  }
  Member& member = it->second;
  const bool moved = member.last.address != heartbeat.address;
  const bool restarted = known && member.last.boot != heartbeat.boot;
  if (restarted) cut(member, "it was started anew", out);
  if (moved) {
    if (known) cut(member, fmt::format("it moved to {}", heartbeat.address), out);
    if (!member.last.address.empty()) out.push_back(Leave{heartbeat.name});
    out.push_back(Join{heartbeat.name, heartbeat.address});
  }
  if (moved || restarted) {
    // Until it was probed its heartbeats are taken at their word: most nodes that say they are there can be reached.
    member.cut = false;
    member.probes_failed = 0;
    member.reached_at = now;
    member.probe_at = now;
  }
  member.last = heartbeat;
  member.heard_at = now;
  if (direct) member.reached_at = now;
  if (!member.cut) out.push_back(State{heartbeat.name});
  return out;
}

Members::Actions Members::heartbeat(const Heartbeat& heartbeat, Instant now) {
  Actions out = news(heartbeat, now, false);
  Actions more = tick(now);
  out.insert(out.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return out;
}

Members::Actions Members::probed(const std::string& name, const Heartbeat& answer, double rtt_ms, Instant now) {
  const auto it = members_.find(name);
  if (it == members_.end()) return {};
  Member& member = it->second;
  if (answer.name != name) {
    Actions out = probe_failed(name, now);  // whoever answers there, it is not this node
    out.push_back(Warn{fmt::format("at the address of node {} answers node {}: two machines advertise the same address", name, answer.name)});
    return out;
  }
  member.probing = false;
  member.probes_failed = 0;
  member.cut = false;
  member.rtt_ms = rtt_ms;
  return news(answer, now, true);
}

Members::Actions Members::probe_failed(const std::string& name, Instant now) {
  Actions out;
  const auto it = members_.find(name);
  if (it == members_.end()) return out;
  Member& member = it->second;
  member.probing = false;
  member.probe_at = std::min(member.probe_at, now + limits::kProbeMs / 4);
  if (++member.probes_failed >= 2 && now - member.reached_at >= limits::kPathLostMs)
    cut(member, "it cannot be reached from here", out);
  return out;
}

Members::Actions Members::connection_lost(const std::string& name, Instant now) {
  const auto it = members_.find(name);
  if (it == members_.end()) return {};
  it->second.probe_at = std::min(it->second.probe_at, now);
  return tick(now);
}

Members::Actions Members::remember(const std::string& name, const std::string& region, const std::string& address, Instant now) {
  Actions out;
  if (!valid_name(name) || members_.count(name) || members_.size() >= limits::kClusterNodes) return out;
  Member& member = members_[name];
  member.last.name = name;
  member.last.region = region;
  member.last.address = address;
  member.heard_at = member.reached_at = member.probe_at = now;
  out.push_back(Join{name, address});
  return out;
}

Members::Actions Members::tick(Instant now) {
  Actions out;
  std::vector<double> distances;
  for (const auto& [name, member] : members_)
    if (member.rtt_ms >= 0) distances.push_back(member.rtt_ms);
  double near = 1e9;
  if (distances.size() > static_cast<size_t>(limits::kProbeNearest)) {
    std::nth_element(distances.begin(), distances.begin() + limits::kProbeNearest - 1, distances.end());
    near = distances[limits::kProbeNearest - 1];
  }
  for (auto it = members_.begin(); it != members_.end();) {
    auto& [name, member] = *it;
    if (member.last.boot != 0 && dead(member, now)) cut(member, "it has not been heard of", out);
    if (protocol::forgotten_after(now - member.heard_at) && member.under_way == 0) {
      out.push_back(Leave{name});
      it = members_.erase(it);
      continue;
    }
    if (!member.probing && now >= member.probe_at) {
      member.probing = true;
      const bool often = member.under_way > 0 || member.rtt_ms <= near || member.probes_failed > 0 || member.cut ||
                         now - member.heard_at > 2 * limits::kHeartbeatMs;  // the bus is silent: probes are the only sign of life
      member.probe_at = now + with_jitter(often ? limits::kProbeMs : 5 * limits::kProbeMs, name, now);
      out.push_back(Probe{name});
    }
    ++it;
  }
  return out;
}

}  // namespace verge::cluster
