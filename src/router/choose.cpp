#include "router/choose.h"

#include <algorithm>

#include "support/promise.h"
#include "support/random.h"

namespace verge::router {
namespace {

constexpr double kEqualMs = 3;           // estimates closer than this, or a twentieth, are equal
constexpr double kEqualPart = 0.05;
constexpr double kForeignMs = 60;         // another region's node is worth asking from here on: bytes that stay cost nobody
                                         // anything, and its own gateways fill its queue unheard
constexpr double kAffinityMs = 15;       // a session's home is worth so much beside what is known of its cache
constexpr double kFailureMs = 1'000;     // a failure since the last heartbeat: the node is likely dead
constexpr double kLoadFloorMs = 1'000;   // no model loads faster, whatever the node says: loaded beats cold
constexpr double kTrustMs = 250;         // a first token so much later than estimated, plus a quarter, is no lie: neighbours on its machine
constexpr double kTrustPart = 0.25;
constexpr double kLatenessHalfMs = 10'000;  // old lateness halves in this time: who was slow gets another try
constexpr double kWidenPart = 0.25;      // the far are asked once the near cost so much more,
constexpr double kWidenMs = 150;         // and by this at least: a busy moment is no reason to cross an ocean
constexpr double kBoundedLoad = 1.25;    // Mirrokni, Thorup, Zadimoghaddam 2016
constexpr double kFreshMs = 300;         // what was said of a queue counts for so long, then what is usual there
constexpr double kSilentMs = 1'300;      // a heartbeat is missing: what is sent there may be lost ...
constexpr double kSilentPart = 0.5;      // ... with a chance that grows so
constexpr double kMostSpread = 2;         // no node's first token is further from the mean than this factor
constexpr double kAgePart = 0.1;         // a queue's estimate grows by this a second of age

// FNV-1a: std::hash may differ between the machines that must agree.
uint64_t hash_text(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325u;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001b3u;
  return h;
}

// What stands before a request that would go there now.
struct Ahead {
  double requests = 0;  // waiting
  double tokens = 0;
};

struct Candidate {
  const std::string* name;
  const Node* node;
  const ModelState* model;
  const Seen* seen;
  double rtt_ms;
  Ahead ahead;
  bool foreign;
  int64_t cached = 0;
  double busy = 0;         // requests there for each of its slots
  double estimate_ms = 0;  // from its own words
  double expected_ms = 0;  // with what own eyes add
  double cost = 0;         // with discounts
};

const ModelState kUnknown = [] {
  ModelState state;
  state.loaded = true;  // it decides by itself; nothing to compare with
  return state;
}();
const Seen kUnseen;

Ahead ahead_of(const ModelState& model, const Seen& seen, double rtt_ms, Instant now) {
  Ahead own, sent_since;
  for (const auto& [flight, waiting] : seen.waiting) {
    own.requests += 1;
    own.tokens += static_cast<double>(waiting.tokens);
    // The heartbeat left half a round trip before it was heard, and had seen what was sent half a one before that.
    if (static_cast<double>(waiting.sent_at) < static_cast<double>(model.heard_at) - 0.9 * rtt_ms) continue;
    sent_since.requests += 1;
    sent_since.tokens += static_cast<double>(waiting.tokens);
  }
  // Its word lacks what was sent since; and it is no less than what is known to wait there.
  const double fresh = std::exp(-static_cast<double>(std::max<Instant>(0, now - model.heard_at)) / kFreshMs);
  const double queued = model.mean_queued + fresh * (model.queued - model.mean_queued);
  const double tokens = model.mean_queued_tokens + fresh * (static_cast<double>(model.queued_tokens) - model.mean_queued_tokens);
  return {std::max(own.requests, queued + sent_since.requests), std::max(own.tokens, tokens + sent_since.tokens)};
}

// What a first token takes at a model's nodes.
class FirstToken {
 public:
  void add(const ModelState& model) {
    if (model.first_token_ms >= 0) sum_ms_ += model.first_token_ms, ++known_ms_;
    if (model.prefill_tokens_per_s > 0) sum_rate_ += model.prefill_tokens_per_s / 1000, ++known_rate_;
  }
  // At `rate` (prefill, tokens/ms; 0 = not known). Nodes differ by their speed, which their prefill rate tells. A node's
  // own measured first token is of few requests: one that was measured while it was busy would get none any more.
  double at(double rate) const {
    const double mean_ms = known_ms_ > 0 ? sum_ms_ / known_ms_ : kUnknownFirstTokenMs;
    if (!(known_rate_ > 0) || !(rate > 0)) return mean_ms;
    return mean_ms * std::clamp(sum_rate_ / known_rate_ / rate, 1 / kMostSpread, kMostSpread);
  }

 private:
  double sum_ms_ = 0, known_ms_ = 0, sum_rate_ = 0, known_rate_ = 0;
};

// What own eyes add to the node's word.
double doubt_ms(const Node& node, const Seen& seen, double estimate_ms, Instant now) {
  const double trust = kTrustMs + kTrustPart * estimate_ms;
  double doubt = node.failures_unheard * kFailureMs;
  // It is heard, and fails all the same: the way there may be cut, where the way back is not.
  if (node.failures > 1) doubt += (node.failures - 1) * kFailureMs * std::exp2(-static_cast<double>(now - node.failed_at) / kLatenessHalfMs);
  if (!node.local) doubt += kSilentPart * std::max(0.0, static_cast<double>(now - node.heard_at) - kSilentMs);
  if (seen.late_ms > 0) doubt += std::max(0.0, seen.late_ms * std::exp2(-static_cast<double>(now - seen.late_at) / kLatenessHalfMs) - trust);
  if (!seen.waiting.empty()) {
    const Seen::Waiting& oldest = seen.waiting.begin()->second;
    doubt += std::max(0.0, static_cast<double>(now - oldest.sent_at - oldest.estimate_ms) - trust);
  }
  return doubt;
}

void estimate(Candidate& c, const Need& need, const FirstToken& first, Instant now) {
  const ModelState& model = *c.model;
  const Ahead& ahead = c.ahead;
  const double rate = model.prefill_tokens_per_s / 1000;
  const double first_token = first.at(rate);
  const double uncached = static_cast<double>(std::max<int64_t>(need.prompt_tokens - c.cached, 1));
  double wait = rate > 0 ? ahead.tokens / rate : first_token * ahead.requests;
  const double in_slots = model.running + ahead.requests;
  if (in_slots >= model.slots) wait += (in_slots - model.slots + 1) * (model.slot_ms ? model.slot_ms : first_token) / model.slots;
  else if (!(rate > 0)) wait += first_token * in_slots / model.slots;  // steps grow with the batch
  if (model.kv_free_tokens >= 0 && need.prompt_tokens > model.kv_free_tokens) wait += model.slot_ms;
  if (!c.node->local) wait *= 1 + kAgePart * static_cast<double>(std::max<Instant>(0, now - model.heard_at)) / 1000;
  const double load = model.loaded ? 0 : std::max<double>(kLoadFloorMs, model.load_ms);
  c.busy = in_slots / model.slots;
  c.estimate_ms = c.rtt_ms + load + wait + first_token + (rate > 0 ? uncached / rate : 0);
  c.expected_ms = c.cost = c.estimate_ms + doubt_ms(*c.node, *c.seen, c.estimate_ms, now);
  if (c.foreign) c.cost += kForeignMs;
}

// A cold model's digest is not known before it is loaded: whoever asks sees then.
bool differs(const std::string& digest, const std::string& wanted) { return !digest.empty() && !wanted.empty() && digest != wanted; }

// Of memory, with what models hold that nobody uses: they give way.
int64_t free_bytes(const NodeState& state) {
  int64_t bytes = state.memory_free_bytes;
  if (bytes == INT64_MAX) return bytes;
  for (const auto& [id, model] : state.models)
    if (model.loaded && model.queued == 0 && model.running == 0) bytes += model.bytes;
  return bytes;
}

// Why nodes were left out.
struct Lacking {
  int model = 0, health = 0, tried = 0, room = 0;
};

std::vector<Candidate> candidates_of(const Registry& registry, const Need& need, const Tried& tried, Instant now, Lacking& lacking) {
  std::vector<Candidate> well, suspect, without_memory, ejected;
  FirstToken first;
  const Registry::Hint* hint = need.affinity.empty() ? nullptr : registry.hint(prefix_key(need.model, need.affinity));
  if (!hint && need.prefix) hint = registry.hint(need.prefix);
  for (const auto& [name, node] : registry.nodes()) {
    const auto held = node.state.models.find(need.model);
    const bool known = held != node.state.models.end();
    if (known) first.add(held->second);
    const Health health = registry.health(node, now);
    if (node.draining || node.state.draining || health == Health::Dead) ++lacking.health;
    else if (tried.count(name)) ++lacking.tried;
    else if (known ? differs(held->second.build, need.digest) : !node.state.any_model) ++lacking.model;
    else {
      const ModelState& model = known ? held->second : kUnknown;
      const auto own = node.seen.find(need.model);
      const Seen& seen = own == node.seen.end() ? kUnseen : own->second;
      const double rtt_ms = registry.rtt_ms(node);
      const bool foreign = !node.local && node.state.region != registry.place().region;
      Candidate c{&name, &node, &model, &seen, rtt_ms, ahead_of(model, seen, rtt_ms, now), foreign};
      const Ahead& ahead = c.ahead;
      const bool slot = model.running + ahead.requests < model.slots;
      if (now < seen.full_until || (need.no_wait && (!slot || !model.loaded)) || (!slot && ahead.requests >= model.wait_slots)) {
        ++lacking.room;
        continue;
      }
      if (hint && hint->node == name) c.cached = std::min(hint->tokens, need.prompt_tokens);
      const bool crowded = !model.loaded && !model.loading && model.bytes > free_bytes(node.state);
      (registry.ejected(node, now) ? ejected : crowded ? without_memory : health == Health::Suspect || model.suspect || seen.suspect ? suspect : well).push_back(c);
    }
  }
  // Who failed of late is better than nobody.
  std::vector<Candidate>* best = &ejected;
  for (std::vector<Candidate>* some : {&without_memory, &suspect, &well})
    if (!some->empty()) best = some;
  for (Candidate& c : *best) estimate(c, need, first, now);
  return std::move(*best);
}

double least_cost(const std::vector<Candidate>& candidates) {
  return std::min_element(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.cost < b.cost; })->cost;
}

// Those within kRttNearMs of the nearest, or all where these are hot or cost much more.
std::vector<Candidate> within_reach(std::vector<Candidate> all) {
  double nearest = all.front().rtt_ms;
  for (const Candidate& c : all) nearest = std::min(nearest, c.rtt_ms);
  std::vector<Candidate> near;
  std::copy_if(all.begin(), all.end(), std::back_inserter(near), [&](const Candidate& c) { return c.rtt_ms <= nearest + limits::kRttNearMs; });
  if (near.size() == all.size()) return all;
  std::vector<double> busy;
  for (const Candidate& c : all) busy.push_back(c.busy);
  const auto hot = busy.begin() + static_cast<long>(busy.size() * 4 / 5);
  std::nth_element(busy.begin(), hot, busy.end());
  if (std::all_of(near.begin(), near.end(), [&](const Candidate& c) { return c.busy > *hot; })) return all;
  const double best = least_cost(all), best_near = least_cost(near);
  return best_near > best + std::max(kWidenMs, kWidenPart * best) ? all : near;
}

// A session's home: the node that served it last; where that is not known, the one that all routers
// find without asking each other. A node that comes or goes moves only its own share.
void prefer_home(std::vector<Candidate>& candidates, uint64_t key) {
  double mean = 0;
  for (const Candidate& c : candidates) mean += c.busy / static_cast<double>(candidates.size());
  const bool known = std::any_of(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.cached > 0; });
  Candidate* home = nullptr;
  uint64_t most = 0;
  for (Candidate& c : candidates) {
    const uint64_t weight = mix64(key ^ mix64(hash_text(*c.name)));
    if (!c.model->loaded || c.busy > kBoundedLoad * mean + 0.1 || (known && c.cached == 0) || (home && weight <= most)) continue;
    home = &c;
    most = weight;
  }
  if (home) home->cost -= kAffinityMs;
}

}  // namespace

uint64_t prefix_key(std::string_view model, std::string_view prefix) { return mix64(hash_text(model)) ^ hash_text(prefix); }

Choice choose(const Registry& registry, const Need& need, const Tried& tried, Instant now, uint64_t seed) {
  Lacking lacking;
  std::vector<Candidate> candidates = candidates_of(registry, need, tried, now, lacking);
  if (candidates.empty()) {
    Choice none;
    none.full = lacking.room > 0;
    if (registry.nodes().empty()) none.why = "no node is known";
    else
      none.why = fmt::format("no node for {}: {} without the model, {} draining or failing, {} tried{}", need.model, lacking.model,
                             lacking.health, lacking.tried, lacking.room ? fmt::format(", {} full", lacking.room) : "");
    return none;
  }
  candidates = within_reach(std::move(candidates));
  if (!need.affinity.empty()) prefer_home(candidates, hash_text(need.affinity));
  const double best = least_cost(candidates);
  const double slack = need.affinity.empty() ? std::max(kEqualMs, best * kEqualPart) : 0;
  std::erase_if(candidates, [&](const Candidate& c) { return c.cost > best + slack; });
  // Of equals the own region's: bytes that stay there cost nobody anything.
  const auto foreign = [](const Candidate& c) { return c.foreign; };
  if (!std::all_of(candidates.begin(), candidates.end(), foreign)) std::erase_if(candidates, foreign);
  const Candidate* chosen = nullptr;
  for (uint64_t draw = 0; draw < 2; ++draw) {
    const Candidate& c = candidates[random_at(seed, draw) % candidates.size()];
    if (!chosen || c.cost < chosen->cost) chosen = &c;
  }
  Choice choice;
  choice.node = *chosen->name;
  choice.expected_ms = static_cast<int64_t>(chosen->expected_ms);
  choice.estimate_ms = static_cast<int64_t>(chosen->estimate_ms);
  choice.cached_tokens = chosen->cached;
  choice.local = chosen->node->local;
  VERGE_EXPECT(!tried.contains(choice.node) && !chosen->node->draining && registry.health(*chosen->node, now) != Health::Dead,
               "C1: a chosen node lives, takes requests and was not tried");
  VERGE_EXPECT(choice.expected_ms >= 0 && choice.cached_tokens <= std::max<int64_t>(need.prompt_tokens, 0), "a choice's estimates are of this request");
  return choice;
}

}  // namespace verge::router
