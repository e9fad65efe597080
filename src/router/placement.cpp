#include "router/placement.h"

#include <algorithm>

#include "router/choose.h"
#include "support/random.h"

namespace verge::router {
namespace {

constexpr double kFarFromAllMs = 10'000;  // nobody holds it: each request waits for a load
constexpr double kIdlePart = 0.1;         // a model that is asked for so much less may go
constexpr double kCrowded = 0.8;          // of its slots are taken: the next request will wait

bool contains(const std::vector<std::string>& list, const std::string& name) { return std::find(list.begin(), list.end(), name) != list.end(); }

const ModelState* model_of(const Node& node, const std::string& model) {
  const auto it = node.state.models.find(model);
  return it == node.state.models.end() ? nullptr : &it->second;
}
bool holds(const Node& node, const std::string& model) {
  const ModelState* state = model_of(node, model);
  return state && (state->loaded || state->loading);
}
bool idle(const ModelState& state) { return state.running == 0 && state.queued == 0; }

int64_t bytes_of(const Node& node, const std::string& model, const Wish* wish) {
  const ModelState* state = model_of(node, model);
  if (state && state->bytes) return state->bytes;
  return wish ? wish->memory_bytes : 0;
}

double rate_of(const Demand& demand, const std::string& region, const std::string& model) {
  const auto in = demand.find(region);
  if (in == demand.end()) return 0;
  const auto it = in->second.find(model);
  return it == in->second.end() ? 0 : it->second;
}

// What a request waits at a holder, from its own words.
double wait_ms(const ModelState& state) {
  const int first_token_ms = state.first_token_ms >= 0 ? state.first_token_ms : kUnknownFirstTokenMs;
  double wait = state.prefill_tokens_per_s > 0 ? static_cast<double>(state.queued_tokens) / state.prefill_tokens_per_s * 1000 : state.queued * first_token_ms;
  if (state.running + state.queued >= kCrowded * state.slots) wait += state.slot_ms ? state.slot_ms : first_token_ms;
  return state.loading ? 0 : wait;  // its help is on the way
}

}  // namespace

void DemandMeter::asked(const std::string& model, Instant now) {
  if (counts_.size() >= limits::kDemandModels && !counts_.count(model)) std::erase_if(counts_, [&](const auto& c) { return now - c.second.at > 5 * limits::kDemandHalfMs; });
  if (counts_.size() >= limits::kDemandModels && !counts_.count(model)) return;
  Count& count = counts_[model];
  count.value = count.value * std::exp2(-static_cast<double>(now - count.at) / limits::kDemandHalfMs) + 1;
  count.at = now;
}

std::map<std::string, double> DemandMeter::per_s(Instant now) const {
  // A steady rate r settles at r * half / ln 2.
  std::map<std::string, double> rates;
  for (const auto& [model, count] : counts_)
    rates[model] = count.value * std::exp2(-static_cast<double>(now - count.at) / limits::kDemandHalfMs) * M_LN2 * 1000 / limits::kDemandHalfMs;
  return rates;
}

struct Placement::View {
  const Registry& registry;
  const Node& self;
  std::vector<std::pair<std::string, const Node*>> nodes;  // alive
  Instant now;

  // By rendezvous hashing: each model has its own order of nodes, the same everywhere.
  std::vector<std::string> ranked(const std::string& model, const std::vector<std::string>& names) const {
    std::vector<std::pair<uint64_t, std::string>> order;
    for (const std::string& name : names) order.emplace_back(mix64(prefix_key(model, name)), name);
    std::sort(order.rbegin(), order.rend());
    std::vector<std::string> ranked;
    for (auto& [weight, name] : order) ranked.push_back(std::move(name));
    return ranked;
  }
};

Instant Placement::wanted_for(const std::string& what, Instant now) {
  const auto before = wants_before_.find(what);
  const Instant since = before == wants_before_.end() ? now : before->second;
  wants_.emplace(what, since);
  return now - since;
}

bool Placement::held_long(const std::string& model, Instant now) const {
  const auto it = loaded_at_.find(model);
  return it == loaded_at_.end() || now - it->second >= limits::kPlacementHoldMs;
}

void Placement::meet_wish(const View& view, const Wish& wish, std::vector<PlacementAct>& acts) {
  const auto fits = [&](const Node& node) {
    const bool knows = model_of(node, wish.model) ? wish.digest.empty() || model_of(node, wish.model)->build == wish.digest : node.state.any_model;
    return knows && !node.draining && !node.state.draining && (wish.regions.empty() || contains(wish.regions, node.state.region));
  };
  std::vector<std::string> holders, others;
  for (const auto& [name, node] : view.nodes) {
    if (!fits(*node)) continue;
    if (holds(*node, wish.model)) holders.push_back(name);
    else if (bytes_of(*node, wish.model, &wish) <= node->state.memory_free_bytes) others.push_back(name);
  }
  const bool mine = holds(view.self, wish.model), pinned = contains(wish.pins, self_);
  if (!mine && fits(view.self) && contains(others, self_)) {
    const int lacking = wish.min - static_cast<int>(holders.size());
    if (pinned) {
      acts.push_back({PlacementAct::Kind::Load, wish.model, "it is pinned here"});
    } else if (lacking > 0) {
      const Instant lasts = wanted_for("load " + wish.model, view.now);
      const auto line = view.ranked(wish.model, others);
      const auto place = std::find(line.begin(), line.end(), self_) - line.begin();
      if (lasts >= limits::kPlacementSettleMs && place < lacking + lasts / limits::kPlacementWidenMs)
        acts.push_back({PlacementAct::Kind::Load, wish.model, fmt::format("{} of {} hold it", holders.size(), wish.min)});
    }
  }
  if (!mine || pinned || !held_long(wish.model, view.now)) return;
  std::string why;
  if (!fits(view.self) && !view.self.state.draining && !view.self.draining) {
    why = "it may not be here";
  } else {
    std::vector<std::string> free;
    for (const std::string& name : holders)
      if (!contains(wish.pins, name)) free.push_back(name);
    const auto line = view.ranked(wish.model, free);
    const auto keep = std::max<long>(0, wish.max - static_cast<long>(holders.size() - free.size()));
    if (std::find(line.begin(), line.end(), self_) - line.begin() >= keep) why = fmt::format("{} hold it, {} may", holders.size(), wish.max);
  }
  if (!why.empty() && wanted_for("unload " + wish.model, view.now) >= limits::kPlacementSettleMs) acts.push_back({PlacementAct::Kind::Unload, wish.model, std::move(why)});
}

void Placement::meet_demand(const View& view, const std::vector<Wish>& wishes, const Demand& demand, std::vector<PlacementAct>& acts) {
  const NodeState& self = view.self.state;
  const auto near = demand.find(self.region);
  if (near == demand.end()) return;
  std::string best;
  double best_gain = limits::kPlacementGain;
  std::string best_why;
  for (const auto& [model, rate] : near->second) {
    const ModelState* own = model_of(view.self, model);
    if (!own || own->loaded || own->loading) continue;
    const auto gone = unloaded_at_.find(model);
    if (gone != unloaded_at_.end() && view.now - gone->second < limits::kPlacementHoldMs) continue;
    const auto wish = std::find_if(wishes.begin(), wishes.end(), [&](const Wish& w) { return w.model == model; });
    if (wish != wishes.end() && !wish->regions.empty() && !contains(wish->regions, self.region)) continue;
    int holders = 0;
    bool coming = false;
    double spared = kFarFromAllMs;
    std::vector<std::string> rivals;
    for (const auto& [name, node] : view.nodes) {
      const ModelState* state = model_of(*node, model);
      if (!state) continue;
      if (state->loaded || state->loading) {
        ++holders;
        coming = coming || (state->loading && node->state.region == self.region);
        const double way = node->state.region == self.region ? 0 : view.registry.rtt_ms(*node);
        spared = std::min(spared, way + wait_ms(*state));
      } else if (node->state.region == self.region && !node->state.draining && !node->draining && state->bytes <= node->state.memory_free_bytes) {
        rivals.push_back(name);
      }
    }
    if (coming || (wish != wishes.end() && holders >= wish->max)) continue;
    if (!contains(rivals, self_)) rivals.push_back(self_);
    const double gain = rate * spared;
    if (gain < best_gain) continue;
    const Instant lasts = wanted_for("near " + model, view.now);
    const auto line = view.ranked(model, rivals);
    const auto place = std::find(line.begin(), line.end(), self_) - line.begin();
    if (lasts < limits::kPlacementSettleMs || place > lasts / limits::kPlacementWidenMs) continue;
    best = model;
    best_gain = gain;
    best_why = fmt::format("{:.1f} requests a second near here, {:.0f} ms spared each", rate, spared);
  }
  if (best.empty()) return;
  const int64_t bytes = bytes_of(view.self, best, nullptr);
  if (bytes <= self.memory_free_bytes) {
    acts.push_back({PlacementAct::Kind::Load, best, best_why});
    return;
  }
  // Room is made by one idle model that is asked for far less, if it is enough.
  const double rate = rate_of(demand, self.region, best);
  for (const auto& [model, state] : self.models) {
    const auto wish = std::find_if(wishes.begin(), wishes.end(), [&, name = model](const Wish& w) { return w.model == name; });
    const bool wished = wish != wishes.end() && (wish->min > 0 || contains(wish->pins, self_));
    if (!state.loaded || !idle(state) || wished || !held_long(model, view.now) || self.memory_free_bytes + state.bytes < bytes) continue;
    if (rate_of(demand, self.region, model) > kIdlePart * rate) continue;
    acts.push_back({PlacementAct::Kind::Unload, model, fmt::format("{} is asked for more", best)});
    return;
  }
}

std::vector<PlacementAct> Placement::step(const Registry& registry, const std::vector<Wish>& wishes, const Demand& demand, Instant now) {
  std::vector<PlacementAct> acts;
  const Node* self = registry.find(self_);
  if (!self) return acts;
  View view{registry, *self, {}, now};
  for (const auto& [name, node] : registry.nodes())
    if (name == self_ || registry.health(node, now) != Health::Dead) view.nodes.emplace_back(name, &node);
  for (const auto& [model, state] : self->state.models) {
    if (state.loaded || state.loading) loaded_at_.try_emplace(model, now);
    else loaded_at_.erase(model);
  }
  wants_before_ = std::move(wants_);
  wants_.clear();
  for (const Wish& wish : wishes) meet_wish(view, wish, acts);
  const bool loading = std::any_of(self->state.models.begin(), self->state.models.end(), [](const auto& m) { return m.second.loading; });
  if (acts.empty() && !loading && !self->draining && !self->state.draining) meet_demand(view, wishes, demand, acts);
  for (const PlacementAct& act : acts)
    if (act.kind == PlacementAct::Kind::Unload) unloaded_at_[act.model] = now;
  std::erase_if(unloaded_at_, [&](const auto& gone) { return now - gone.second > limits::kPlacementHoldMs; });
  return acts;
}

}  // namespace verge::router
