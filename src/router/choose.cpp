#include "router/choose.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "support/random.h"

namespace verge::router {
namespace {

constexpr int64_t kEqualMs = 5;          // estimates closer than this, or a tenth, are equal
constexpr int64_t kAffinityMs = 50;      // a cached prefix is worth this much, or as long as the best wait again
constexpr int kFailureMs = 1'000;        // a failure since the last heartbeat: the node is likely dead
constexpr int kLoadFloorMs = 1'000;      // no model loads faster, whatever the node says: loaded beats cold

// FNV-1a: std::hash may differ between the machines that must agree.
uint64_t hash_text(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325u;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001b3u;
  return h;
}

struct Candidate {
  const std::string* name;
  const Node* node;
  int64_t ms;
};

}  // namespace

int64_t expected_ms(const Node& node, const std::string& model) {
  ModelState state;
  if (const auto it = node.state.models.find(model); it != node.state.models.end()) state = it->second;
  else if (node.state.any_model) state.loaded = true;  // it knows better; nothing to compare with
  double first = state.first_token_ms;
  if (const auto seen = node.first_token_ms.find(model); seen != node.first_token_ms.end()) first = seen->second;
  int ours = 0;
  if (const auto it = node.under_way.find(model); it != node.under_way.end()) ours = it->second;
  // Its own count is as old as its heartbeat, ours lacks the other routers': the larger is nearer.
  const int busy = std::max(state.queued + state.running, ours);
  const double waiting = static_cast<double>(busy) / std::max(1, node.state.slots) + state.queued;
  const int64_t load = state.loaded ? 0 : std::max(kLoadFloorMs, state.load_ms);
  return node.state.rtt_ms + load + node.failures_unheard * kFailureMs + static_cast<int64_t>(first * (1 + waiting));
}

Choice choose(const Registry& registry, const Need& need, const Tried& tried, Instant now, uint64_t seed) {
  std::vector<Candidate> candidates;
  int without_model = 0, without_memory = 0, unhealthy = 0, already_tried = 0;
  for (const auto& [name, node] : registry.nodes()) {
    const auto held = node.state.models.find(need.model);
    const bool loaded = held != node.state.models.end() && held->second.loaded;
    if (node.draining || node.state.draining || registry.late(node, now) || registry.ejected(node, now)) ++unhealthy;
    else if (tried.count(name)) ++already_tried;
    else if (held == node.state.models.end() && !node.state.any_model) ++without_model;
    else if (!loaded && need.memory_bytes > node.state.memory_free_bytes) ++without_memory;
    else candidates.push_back({&name, &node, expected_ms(node, need.model)});
  }
  if (candidates.empty()) {
    Choice none;
    if (registry.nodes().empty()) none.why = "no node is known";
    else
      none.why = fmt::format("no node for {}: {} without the model, {} without memory for it, {} draining or failing, {} tried", need.model, without_model,
                             without_memory, unhealthy, already_tried);
    return none;
  }
  const int64_t best = std::min_element(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.ms < b.ms; })->ms;
  const int64_t slack = need.affinity.empty() ? std::max(kEqualMs, best / 10) : std::max(kAffinityMs, best);
  std::erase_if(candidates, [&](const Candidate& c) { return c.ms > best + slack; });
  const Candidate* chosen = &candidates[random_at(seed, 0) % candidates.size()];
  if (!need.affinity.empty()) {
    // Rendezvous hashing: a node that comes or goes moves only its own share.
    const uint64_t key = hash_text(need.affinity);
    const auto weight = [&](const Candidate& c) { return mix64(key ^ mix64(hash_text(*c.name))); };
    chosen = &*std::max_element(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) { return weight(a) < weight(b); });
  }
  return {*chosen->name, "", chosen->ms, chosen->node->local};
}

}  // namespace verge::router
