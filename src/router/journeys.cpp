#include "router/journeys.h"

#include <algorithm>

#include "support/limits.h"
#include "support/promise.h"

namespace verge::router {
namespace {

constexpr Instant kLookMs = 50;    // for room, while somebody waits for it
constexpr Instant kYoungMs = limits::kNodeDeadMs;  // a gateway has heard all nodes by then that live
constexpr Instant kSweepMs = 200;  // for attempts that are stranded

}  // namespace

Journeys::Journeys(bool may_wait, Chooser chooser) : may_wait_(may_wait), chooser_(std::move(chooser)) {
  if (chooser_) return;
  chooser_ = [this](uint64_t, const Need& need, const Tried& tried, Instant now, uint64_t seed) { return choose(registry_, need, tried, now, seed); };
}

bool Journeys::heartbeat(const std::string& name, NodeState state, Instant now, Actions& out) {
  if (!first_heard_) first_heard_ = now;
  const bool news = registry_.heartbeat(name, std::move(state), now);
  if (room_.size() > 0) look_for_room(now, out);
  return news;
}

bool Journeys::held_somewhere(const std::string& model) const {
  return std::any_of(registry_.nodes().begin(), registry_.nodes().end(), [&](const auto& node) { return node.second.state.any_model || node.second.state.models.contains(model); });
}

uint64_t Journeys::arrived(Arrival arrival, Instant now, Actions& out) {
  const uint64_t id = ++last_;
  const std::string& model = arrival.need.model;
  if (held_somewhere(model)) demand_.asked(model, now);
  if (std::optional<Error> refused = refusals_.recall(model, arrival.tenant, now)) {
    out.push_back({Action::Kind::Fail, id, {}, 0, std::move(*refused)});
    return id;
  }
  const bool may_wait = may_wait_ && !arrival.need.no_wait;
  budget_.request_started();
  begin(journeys_.try_emplace(id, id, std::move(arrival), may_wait).first->second, now, out);
  return id;
}

Choice Journeys::pick(const Journey& journey, Instant now) const {
  return chooser_(journey.id, journey.what.need, journey.attempts.tried(), now, journey.what.seed + static_cast<uint64_t>(journey.made));
}

void Journeys::begin(Journey& journey, Instant now, Actions& out) {
  const std::string& model = journey.what.need.model;
  // Who comes later waits behind those who wait already.
  const bool behind = journey.made == 0 && journey.may_wait && room_.waits_for(model);
  Choice choice;
  if (!behind) choice = pick(journey, now);
  if (choice) return start(journey, std::move(choice), now, out);
  if (journey.made == 0) {
    if (!registry_.nodes().empty() && !held_somewhere(model)) {
      journey.error = fail(Code::ModelUnavailable, "model {} is on no node of this cluster: run 'verge pull {}' on one, or start one with --model {}=PATH", model, model, model);
      if (!first_heard_ || now - first_heard_ >= kYoungMs) return fail_with(journey, journey.error, out);
      // Who holds it may not have been heard yet.
      journey.waits_until = first_heard_ + kYoungMs;
      return wait_for_room(journey, now, out);
    }
    journey.error = Error{Code::Busy, choice.why.empty() ? "others wait for " + model : choice.why, 0, 0, room_.retry_after_ms(model)};
  }
  wait_for_room(journey, now, out);
}

void Journeys::start(Journey& journey, Choice choice, Instant now, Actions& out) {
  const Need& need = journey.what.need;
  VERGE_EXPECT(journey.state != State::UnderWay && journey.flight == 0, "a request has one attempt at a time");
  VERGE_EXPECT(static_cast<bool>(choice), "an attempt has a node");
  journey.state = State::UnderWay;
  journey.heard = journey.accepted = journey.progress = journey.to_room = false;
  journey.flight = registry_.started(choice.node, need.model, need.prompt_tokens - choice.cached_tokens, choice.estimate_ms, now);
  journey.patience = choice.local || !journey.what.in_steps ? 0 : journey.attempts.patience(choice, now);
  if (!choice.local) away_.insert(journey.id);
  out.push_back({Action::Kind::Start, journey.id, choice, ++journey.made, {}});
  journey.choice = std::move(choice);
  set_timer(journey);
}

void Journeys::wait_for_room(Journey& journey, Instant now, Actions& out) {
  if (!journey.may_wait) return fail_with(journey, journey.error, out);
  const Need& need = journey.what.need;
  journey.to_room = false;
  journey.attempts.forget_tried();
  give_back(journey);
  if (!journey.waits_until) journey.waits_until = now + limits::kRoomWaitMs;
  const Instant until = journey.what.deadline ? std::min(journey.what.deadline, journey.waits_until) : journey.waits_until;
  const CapacityQueue::Entered entered = room_.enter(journey.id, journey.what.tenant, need.model, std::max<int64_t>(1, need.prompt_tokens), until, now);
  if (entered.pushed_out) {
    Journey& other = journeys_.at(entered.pushed_out);
    fail_with(other, other.error, out);
  }
  if (!entered.in) return fail_with(journey, journey.error, out);
  journey.state = State::Waiting;
  set_timer(journey);
  out.push_back({Action::Kind::Wait, journey.id, {}, journey.made, {}});
  look_for_room(now, out);
}

// At once: the next one must find what this one takes.
void Journeys::look_for_room(Instant now, Actions& out) {
  looked_at_ = now;
  for (uint64_t id : room_.expire(now)) {
    Journey& journey = journeys_.at(id);
    fail_with(journey, journey.error, out);
  }
  room_.release(now, [&](uint64_t id) {
    Journey& journey = journeys_.at(id);
    Choice choice = pick(journey, now);
    if (!choice) return false;
    const bool costs = journey.owes_budget && registry_.doubtful(choice.node, now);
    if (costs && !budget_.take(now)) return false;
    journey.owes_budget = false;
    journey.holds_budget = costs;
    start(journey, std::move(choice), now, out);
    return true;
  });
}

void Journeys::accepted(uint64_t id, const std::string& build, const std::optional<protocol::Load>& load, Instant now) {
  Journey& journey = journeys_.at(id);
  if (load) registry_.load(journey.choice.node, journey.what.need.model, *load, now);
  journey.accepted = true;
  if (journey.build.empty()) journey.build = build;
}

void Journeys::progressed(uint64_t id, Instant now) {
  Journey& journey = journeys_.at(id);
  if (journey.progress) return;
  journey.progress = journey.brought = true;
  journey.attempts.forget_deadline();
  registry_.first_token(journey.flight, now);
  set_timer(journey);
}

// What ends with every attempt, however it went.
void Journeys::attempt_over(Journey& journey, const Error* error, Instant now, Actions& out) {
  VERGE_EXPECT(journey.state == State::UnderWay, "an attempt that ends was under way");
  journey.state = State::Choosing;
  away_.erase(journey.id);
  registry_.ended(std::exchange(journey.flight, 0), error, now);
  Need& need = journey.what.need;
  need.prompt_tokens = journey.prompt_tokens + journey.tokens;
  if (journey.accepted && (!error || error->code != Code::WorkerGone)) {
    if (need.prefix) registry_.cached(need.prefix, journey.choice.node, journey.prompt_tokens);
    if (!need.affinity.empty()) registry_.cached(prefix_key(need.model, need.affinity), journey.choice.node, need.prompt_tokens);
  }
  if (room_.size() > 0) look_for_room(now, out);
}

void Journeys::ended(uint64_t id, int64_t tokens, Instant now, Actions& out) {
  Journey& journey = journeys_.at(id);
  journey.tokens = tokens;
  attempt_over(journey, nullptr, now, out);
  over(journey);
}

void Journeys::stalled(uint64_t id, int64_t tokens, Instant now, Actions& out) {
  Journey& journey = journeys_.at(id);
  journey.tokens = tokens;
  attempt_over(journey, nullptr, now, out);
  give_back(journey);
  journey.state = State::Stalled;
  set_timer(journey);
}

void Journeys::reads_again(uint64_t id, Instant now, Actions& out) {
  Journey& journey = journeys_.at(id);
  if (!VERGE_EXPECT(journey.state == State::Stalled, "who reads again had stopped")) return;
  journey.waits_until = 0;
  begin(journey, now, out);
}

void Journeys::left(uint64_t id, Instant now, Actions& out) {
  const auto it = journeys_.find(id);
  if (it == journeys_.end()) return;
  Journey& journey = it->second;
  if (journey.state == State::UnderWay) {
    const Error cancelled{Code::Aborted, ""};
    attempt_over(journey, &cancelled, now, out);
  } else if (journey.state == State::Waiting) {
    room_.leave(id);
  }
  over(journey);
}

void Journeys::failed(uint64_t id, Error error, int64_t tokens, Instant now, Actions& out) {
  Journey& journey = journeys_.at(id);
  journey.tokens = tokens;
  lost(journey, std::move(error), now, out);
}

void Journeys::hang_up(Journey& journey, Error error, Instant now, Actions& out) {
  out.push_back({Action::Kind::HangUp, journey.id, {}, journey.made, error});
  lost(journey, std::move(error), now, out);
}

void Journeys::lost(Journey& journey, Error error, Instant now, Actions& out) {
  Failed failed{journey.choice.node, journey.choice.local, error, journey.accepted, journey.progress};
  attempt_over(journey, &error, now, out);
  if (failed.progress) journey.waits_until = 0;
  journey.what.need.digest = journey.build;
  journey.attempts.mark_tried(failed.node);
  const Choice other = pick(journey, now);
  // A node restarts its own workers and tries again there: what comes as WorkerGone from another machine is the machine's end.
  failed.free = !failed.local && error.code == Code::WorkerGone && !registry_.doubtful(other.node, now);
  give_back(journey);
  const Decision decision = journey.attempts.failed(failed, static_cast<bool>(other), budget_, now);
  journey.error = error;
  if (std::holds_alternative<GiveUp>(decision)) {
    if (refused_for_wait(error)) refusals_.remember(journey.what.need.model, journey.what.tenant, error, now);
    return fail_with(journey, std::move(error), out);
  }
  out.push_back({Action::Kind::Again, journey.id, journey.choice, journey.made, error});
  journey.state = State::Pausing;
  if (const auto* room = std::get_if<WaitForRoom>(&decision)) {
    journey.owes_budget = room->costs_budget;
    if (error.code != Code::WorkerGone) return wait_for_room(journey, now, out);
    // What refuses connections is asked again at once by all who wait, until it is known to be dead.
    journey.to_room = true;
    journey.patience = now + kLookMs;
    return set_timer(journey);
  }
  const Retry& retry = std::get<Retry>(decision);
  journey.holds_budget = retry.costs_budget;
  if (retry.same_node) journey.attempts.forget_tried();
  if (retry.at <= now) return begin(journey, now, out);
  journey.patience = retry.at;
  set_timer(journey);
}

void Journeys::fail_with(Journey& journey, Error error, Actions& out) {
  out.push_back({Action::Kind::Fail, journey.id, {}, journey.made, std::move(error)});
  over(journey);
}

void Journeys::over(Journey& journey) {
  VERGE_EXPECT(journey.flight == 0 && !away_.contains(journey.id), "a request that is over has no attempt under way");
  give_back(journey);
  budget_.request_ended();
  timers_.erase({journey.timer, journey.id});
  journeys_.erase(journey.id);
}

void Journeys::give_back(Journey& journey) {
  if (std::exchange(journey.holds_budget, false)) budget_.give_back();
}

// A request has one timer: for the earliest of what it waits for.
void Journeys::set_timer(Journey& journey) {
  Instant at = kNever;
  if (journey.what.deadline && !journey.brought && journey.state != State::Stalled) at = journey.what.deadline;
  const bool silent = journey.state == State::UnderWay && journey.patience && !journey.progress;
  if (silent || journey.state == State::Pausing) at = std::min(at, journey.patience);
  if (journey.timer) timers_.erase({journey.timer, journey.id});
  journey.timer = at == kNever ? 0 : at;
  if (journey.timer) timers_.emplace(journey.timer, journey.id);
}

void Journeys::on_timer(Journey& journey, Instant now, Actions& out) {
  if (journey.what.deadline && !journey.brought && now >= journey.what.deadline) {
    if (journey.state == State::UnderWay) {
      const Error late{Code::Timeout, ""};
      out.push_back({Action::Kind::HangUp, journey.id, {}, journey.made, late});
      attempt_over(journey, &late, now, out);
    } else if (journey.state == State::Waiting) {
      room_.leave(journey.id);
    }
    return fail_with(journey, fail(Code::Timeout, "The request's deadline passed before its answer began."), out);
  }
  if (journey.state == State::Pausing) {
    if (journey.to_room) return wait_for_room(journey, now, out);
    return begin(journey, now, out);
  }
  if (journey.heard) {
    journey.patience = 0;
    return set_timer(journey);
  }
  const int64_t waited_ms = journey.attempts.patience(journey.choice, now) - now;
  journey.patience = now + waited_ms;
  Tried tried = journey.attempts.tried();
  tried.insert(journey.choice.node);
  if (!chooser_(journey.id, journey.what.need, tried, now, journey.what.seed)) return set_timer(journey);  // nobody else would do: it has time
  hang_up(journey, fail(Code::Busy, "node {} was silent for {} ms", journey.choice.node, waited_ms), now, out);
}

void Journeys::sweep_stranded(Instant now, Actions& out) {
  swept_at_ = now;
  std::vector<uint64_t> stranded;
  for (uint64_t id : away_)
    if (registry_.stranded(journeys_.at(id).flight, now)) stranded.push_back(id);
  for (uint64_t id : stranded) {
    Journey& journey = journeys_.at(id);
    hang_up(journey, fail(Code::WorkerGone, "node {} has not been heard of", journey.choice.node), now, out);
  }
}

void Journeys::tick(Instant now, Actions& out) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto [at, id] = *timers_.begin();
    timers_.erase(timers_.begin());
    Journey& journey = journeys_.at(id);
    journey.timer = 0;
    on_timer(journey, now, out);
  }
  if (!away_.empty() && now - swept_at_ >= kSweepMs) sweep_stranded(now, out);
  if (room_.size() > 0 && now - looked_at_ >= kLookMs) look_for_room(now, out);
  VERGE_EXPECT(timers_.size() <= journeys_.size() && away_.size() <= journeys_.size() && room_.size() <= journeys_.size(),
               "timers, flights and waiting places belong to requests");
}

Instant Journeys::wake() const {
  Instant at = timers_.empty() ? kNever : timers_.begin()->first;
  if (!away_.empty()) at = std::min(at, swept_at_ + kSweepMs);
  if (room_.size() > 0) at = std::min(at, looked_at_ + kLookMs);
  return at;
}

}  // namespace verge::router
