// The shell: asks the pure parts and does what they say. One request is one coroutine; what it holds
// (its place in the registry, in the retry budget) it gives back in destructors, so that a cancelled
// one leaves nothing behind.
#include "router/router.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <map>

#include "router/attempts.h"
#include "router/capacity.h"
#include "router/choose.h"
#include "router/placement.h"
#include "router/refusals.h"
#include "router/registry.h"
#include "router/resume.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/spawn.h"
#include "support/trace.h"

namespace verge::router {

namespace asio = boost::asio;
using namespace protocol;

namespace {

constexpr int kLookMs = 50;  // for room, while somebody waits for it

// Calls a function at the end of the scope, also when the coroutine is destroyed there.
template <class F>
class AtEnd {
 public:
  explicit AtEnd(F f) : f_(std::move(f)) {}
  ~AtEnd() { f_(); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  F f_;
};

}  // namespace

// A request that waits for room.
struct Waiter {
  Waiter(const asio::any_io_executor& executor, const Need& n, const Tried& t, uint64_t s) : timer(executor), need(n), tried(t), seed(s) {}
  asio::steady_timer timer;
  const Need& need;
  const Tried& tried;
  uint64_t seed;
  bool owes_budget = false;  // goes on only with one of the retries
  // How the wait ended.
  Choice choice;
  uint64_t flight = 0;
  bool over = false;
};

struct Router::Impl {
  asio::any_io_executor executor;
  bool may_wait = true;
  Registry registry;
  RetryBudget budget;
  CapacityQueue room;
  Refusals refusals;
  DemandMeter asked;
  std::map<uint64_t, Waiter*> waiters;
  uint64_t last_waiter = 0;
  Instant released_at = 0;
  std::map<std::string, Service*> services;
  metrics::Counter retries, resumes, failures, waits;
  metrics::Gauge waiting;
  bool counted = false;

  void look_for_room();
  task<bool> wait_for_room(Waiter& waiter, const std::string& tenant, Instant deadline);
  bool others(const Need& need, Tried tried, const std::string& node, uint64_t seed) const;
};

// Gives whoever may go on its node. At once: the next one must see what this one takes.
void Router::Impl::look_for_room() {
  const Instant now = monotonic_ms();
  released_at = now;
  for (uint64_t id : room.expire(now)) {
    if (const auto it = waiters.find(id); it != waiters.end()) {
      it->second->over = true;
      it->second->timer.cancel();
    }
  }
  if (room.size() == 0) return;
  room.release(now, [&](uint64_t id) {
    const auto it = waiters.find(id);
    if (it == waiters.end()) return true;
    Waiter& waiter = *it->second;
    Choice choice = choose(registry, waiter.need, waiter.tried, now, waiter.seed);
    if (!choice || !services.contains(choice.node) || (waiter.owes_budget && !budget.take(now))) return false;
    waiter.flight = registry.started(choice.node, waiter.need.model, waiter.need.prompt_tokens - choice.cached_tokens, choice.estimate_ms, now);
    waiter.choice = std::move(choice);
    waiter.timer.cancel();
    return true;
  });
}

// False: it found none in time, or may not wait.
task<bool> Router::Impl::wait_for_room(Waiter& waiter, const std::string& tenant, Instant deadline) {
  const uint64_t id = ++last_waiter;
  const CapacityQueue::Entered entered = room.enter(id, tenant, waiter.need.model, std::max<int64_t>(1, waiter.need.prompt_tokens), deadline, monotonic_ms());
  if (entered.pushed_out) {
    if (const auto it = waiters.find(entered.pushed_out); it != waiters.end()) {
      it->second->over = true;
      it->second->timer.cancel();
    }
  }
  if (!entered.in) co_return false;
  waiters[id] = &waiter;
  if (counted) waits.add();
  if (counted) waiting.add(1);
  AtEnd leave([this, id] {
    room.leave(id);
    waiters.erase(id);
    if (counted) waiting.add(-1);
  });
  look_for_room();
  while (!waiter.choice && !waiter.over) {
    waiter.timer.expires_after(std::chrono::milliseconds(kLookMs));
    boost::system::error_code woken;
    co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    // Of all who wait one looks for all.
    if (monotonic_ms() - released_at >= kLookMs) look_for_room();
  }
  co_return static_cast<bool>(waiter.choice);
}

// Whether there is a node besides those tried and this one.
bool Router::Impl::others(const Need& need, Tried tried, const std::string& node, uint64_t seed) const {
  tried.insert(node);
  return static_cast<bool>(choose(registry, need, tried, monotonic_ms(), seed));
}

namespace {

// One attempt's events: on to the client as Resume allows, failures kept for Attempts.
class AttemptSink : public EventSink {
 public:
  AttemptSink(EventSink& client, Resume& resume, Registry& registry, uint64_t flight) : client_(client), resume_(resume), registry_(registry), flight_(flight) {}

  task<bool> put(Event event) override {
    if (ended || failure) co_return false;
    silent = false;
    if (auto* failed = std::get_if<Failure>(&event)) {
      failure = std::move(failed->error);
      co_return true;
    }
    const bool token = std::holds_alternative<Token>(event) || std::holds_alternative<Part>(event) || std::holds_alternative<protocol::Result>(event);
    if (token && !resume_.progress()) registry_.first_token(flight_, monotonic_ms());
    const bool last = terminal(event);
    auto out = resume_.pass(std::move(event));
    if (!out) {
      failure = out.error();
      co_return false;
    }
    if (last) ended = true;
    if (!out->has_value()) co_return true;
    const bool resumable = std::holds_alternative<Token>(**out);
    const bool taken = co_await client_.put(std::move(**out));
    if (!taken) gone = true;
    // A reader that reads nothing keeps no slot: what it has is enough to go on from when it reads again.
    if (taken && resumable && client_.stalled()) paused = true;
    co_return taken && !paused;
  }

  bool ended = false;  // the terminal event has been passed on
  bool gone = false;   // the client is
  bool silent = true;   // no event has come
  bool paused = false;  // the attempt was given up, for the client reads nothing
  std::optional<Error> failure;

 private:
  EventSink& client_;
  Resume& resume_;
  Registry& registry_;
  uint64_t flight_;
};

}  // namespace

Router::Router(asio::any_io_executor executor, metrics::Registry* metrics, bool wait_for_room) : impl_(std::make_unique<Impl>()) {
  impl_->executor = std::move(executor);
  impl_->may_wait = wait_for_room;
  if (!metrics) return;
  impl_->counted = true;
  impl_->retries = metrics->counter("verge_router_retries_total", "Attempts repeated after a failure.", {"reason"});
  impl_->resumes = metrics->counter("verge_router_resumes_total", "Answers continued by another attempt after their first token.");
  impl_->waits = metrics->counter("verge_router_waits_total", "Requests that had to wait because no node had room.");
  impl_->waiting = metrics->gauge("verge_router_waiting", "Requests that wait for room now.");
  impl_->failures = metrics->counter("verge_router_failures_total", "Requests that failed after all attempts.", {"code"});
}
Router::~Router() = default;

void Router::add_node(const std::string& name, Service& service, bool local) {
  impl_->services[name] = &service;
  NodeState state;
  state.any_model = local;
  impl_->registry.add(name, local, std::move(state), monotonic_ms());
}
void Router::remove_node(const std::string& name) {
  impl_->services.erase(name);
  impl_->registry.remove(name);
}
void Router::set_draining(const std::string& name, bool draining) { impl_->registry.set_draining(name, draining); }
void Router::set_suspect(const std::string& name, const std::string& model, bool suspect) { impl_->registry.set_suspect(name, model, suspect); }
void Router::update_node(const std::string& name, const NodeState& state) {
  if (!impl_->services.count(name)) return;
  impl_->registry.heartbeat(name, state, monotonic_ms());
  if (impl_->room.size() > 0) impl_->look_for_room();
}

void Router::set_place(const Place& place) { impl_->registry.set_place(place); }
std::map<std::string, double> Router::demand() const { return impl_->asked.per_s(monotonic_ms()); }
void Router::rtt(const std::string& name, double ms) { impl_->registry.rtt(name, ms); }

namespace {

// What can be told of a prompt without its tokenizer: about four bytes a token; and a key of its beginning, which
// requests that share it have in common.
void read_prompt(const Request& request, Need& need) {
  constexpr size_t kBytesPerToken = 4, kPrefixBytes = 1024;
  std::string text;
  size_t bytes = 0;
  auto take = [&](const json::value& value) {
    const json::string* one = value.if_string();
    if (!one) return;
    bytes += one->size();
    if (text.size() < kPrefixBytes) text.append(one->data(), std::min(one->size(), kPrefixBytes - text.size()));
  };
  if (const json::value* prompt = request.params.if_contains("prompt")) take(*prompt);
  if (const json::array* messages = get_array(request.params, "messages")) {
    for (const json::value& message : *messages)
      if (const json::object* object = message.if_object())
        if (const json::value* content = object->if_contains("content")) take(*content);
  }
  if (const json::value* texts = request.params.if_contains("text")) {
    if (const json::array* list = texts->if_array()) {
      for (const json::value& one : *list) take(one);
    } else {
      take(*texts);
    }
  }
  need.prompt_tokens = static_cast<int64_t>(bytes / kBytesPerToken) + 1;
  if (bytes >= kPrefixBytes) need.prefix = prefix_key(request.model, text);
}

bool held_somewhere(const Registry& registry, const std::string& model) {
  for (const auto& [name, node] : registry.nodes())
    if (node.state.any_model || node.state.models.contains(model)) return true;
  return false;
}

}  // namespace

// False: the node said nothing for so long, and was left. (Not for a task whose only event is its answer.)
task<bool> run_with_patience(asio::any_io_executor executor, Service& service, Request request, AttemptSink& sink, Instant patience_ms) {
  Interruptible work(executor, "an attempt");
  asio::steady_timer patience(executor, std::chrono::milliseconds(patience_ms));
  bool over = false;
  const auto alive = std::make_shared<bool>(true);
  patience.async_wait([&, alive](boost::system::error_code ec) {
    if (ec || !*alive || !sink.silent) return;
    over = true;
    work.interrupt();
  });
  const AtEnd leave([alive] { *alive = false; });
  auto running = work.run([&]() mutable { return service.run(std::move(request), sink); });
  co_await std::move(running);
  co_return !over || !sink.silent;
}

std::set<std::string> Router::models() const {
  const Instant now = monotonic_ms();
  std::set<std::string> ids;
  for (const auto& [name, node] : impl_->registry.nodes()) {
    if (impl_->registry.health(node, now) == Health::Dead) continue;
    for (const auto& [id, state] : node.state.models) ids.insert(id);
  }
  return ids;
}

task<void> Router::run(Request request, EventSink& sink) {
  Impl& impl = *impl_;
  Need need;
  need.model = request.model;
  need.affinity = request.affinity;
  need.no_wait = request.reject_if_busy;
  read_prompt(request, need);
  const uint64_t seed = request.seed;
  const bool answers_in_steps = request.task == "text-generation";
  // The deadline is on the wall clock; decisions are on the one that never jumps.
  const int64_t now = monotonic_ms();
  if (held_somewhere(impl.registry, need.model)) impl.asked.asked(need.model, now);
  if (std::optional<Error> refused = impl.refusals.recall(request.model, request.tenant, now)) {
    if (impl.counted) impl.failures.add(1, {to_string(refused->code)});
    Event failure = Failure{std::move(*refused)};
    co_await sink.put(std::move(failure));
    co_return;
  }
  const Instant deadline = request.deadline_ms ? now + (request.deadline_ms - unix_ms()) : 0;
  const bool may_wait = impl.may_wait && !request.reject_if_busy;
  Attempts attempts(deadline, seed, may_wait);
  const std::string id = request.id, tenant = request.tenant;
  Resume resume(std::move(request));
  impl.budget.request_started();
  AtEnd request_over([&impl] { impl.budget.request_ended(); });
  bool holds_budget = false;
  AtEnd budget_back([&] {
    if (holds_budget) impl.budget.give_back();
  });

  Error error;
  bool wait = false, owes_budget = false;
  Instant waits_until = 0;  // all its waits together; one that got on has earned a new one
  for (int attempt = 0;; ++attempt) {
    const uint64_t attempt_seed = seed + static_cast<uint64_t>(attempt);
    Choice choice;
    uint64_t flight = 0;
    // Who comes later waits behind those who wait already.
    if (!wait && !(attempt == 0 && may_wait && impl.room.waits_for(need.model))) choice = choose(impl.registry, need, attempts.tried(), monotonic_ms(), attempt_seed);
    if (choice && impl.services.contains(choice.node)) {
      flight = impl.registry.started(choice.node, need.model, need.prompt_tokens - choice.cached_tokens, choice.estimate_ms, monotonic_ms());
    } else {
      if (attempt == 0 && !impl.registry.nodes().empty() && !held_somewhere(impl.registry, need.model)) {
        error = fail(Code::ModelUnavailable, "model {} is on no node of this cluster: run 'verge pull {}' on one, or start one with --model {}=PATH", need.model, need.model, need.model);
        break;
      }
      if (attempt == 0) error = Error{Code::Busy, choice.why.empty() ? "others wait for " + need.model : choice.why, 0, 0, impl.room.retry_after_ms(need.model)};
      if (!may_wait) break;
      attempts.forget_tried();
      Waiter waiter(impl.executor, need, attempts.tried(), attempt_seed);
      waiter.owes_budget = std::exchange(owes_budget, false);
      AtEnd unused([&] {
        const Error cancelled{Code::Aborted, ""};
        if (waiter.flight) impl.registry.ended(waiter.flight, &cancelled, monotonic_ms());
      });
      if (!waits_until) waits_until = monotonic_ms() + limits::kRoomWaitMs;
      const bool found = co_await impl.wait_for_room(waiter, tenant, deadline ? std::min(deadline, waits_until) : waits_until);
      if (!found) break;
      choice = std::move(waiter.choice);
      flight = std::exchange(waiter.flight, 0);
      holds_budget = waiter.owes_budget;
      wait = false;
    }
    AttemptSink attempt_sink(sink, resume, impl.registry, flight);
    const Error* outcome = nullptr;
    {
      const Error cancelled{Code::Aborted, ""};
      outcome = &cancelled;
      AtEnd attempt_over([&] {
        impl.registry.ended(flight, outcome, monotonic_ms());
        if (impl.room.size() > 0) impl.look_for_room();
      });
      Request next = resume.next();
      trace::Span span("attempt", trace::Kind::Client, next.traceparent);
      span.set("verge.node", choice.node);
      span.set("verge.attempt", int64_t{attempt + 1});
      span.set("verge.expected_ms", choice.expected_ms);
      next.traceparent = span.traceparent();
      const auto service = impl.services.find(choice.node);
      if (service == impl.services.end()) {
        attempt_sink.failure = fail(Code::WorkerGone, "node {} left", choice.node);
      } else if (choice.local || !answers_in_steps || !impl.others(need, attempts.tried(), choice.node, attempt_seed)) {
        co_await service->second->run(std::move(next), attempt_sink);
      } else {
        const Instant patience_ms = attempts.patience(choice, monotonic_ms()) - monotonic_ms();
        auto running = run_with_patience(impl.executor, *service->second, std::move(next), attempt_sink, patience_ms);
        const bool in_time = co_await std::move(running);
        if (!in_time && !attempt_sink.failure) attempt_sink.failure = fail(Code::Busy, "node {} was silent for {} ms", choice.node, patience_ms);
      }
      if (attempt_sink.failure) span.fail(attempt_sink.failure->message);
      if (attempt_sink.failure) outcome = &*attempt_sink.failure;
      else if (attempt_sink.ended || attempt_sink.paused) outcome = nullptr;
    }
    if (need.prefix && resume.accepted()) impl.registry.cached(need.prefix, choice.node, need.prompt_tokens);
    if (attempt_sink.ended || attempt_sink.gone) co_return;
    if (attempt_sink.paused) {
      if (std::exchange(holds_budget, false)) impl.budget.give_back();
      const bool reads_again = co_await sink.caught_up();
      if (!reads_again) co_return;
      waits_until = 0;
      continue;
    }
    if (resume.progress()) waits_until = 0;
    need.digest = resume.build();
    error = attempt_sink.failure ? *attempt_sink.failure : fail(Code::WorkerGone, "{} ended without an answer", choice.node);

    Failed failed{choice.node, choice.local, error, resume.accepted(), resume.progress()};
    // A node restarts its own workers and tries again there: what comes as WorkerGone from another machine is the machine's end.
    failed.stranded = !choice.local && error.code == Code::WorkerGone;
    attempts.mark_tried(choice.node);
    const bool others = static_cast<bool>(choose(impl.registry, need, attempts.tried(), monotonic_ms(), attempt_seed));
    if (std::exchange(holds_budget, false)) impl.budget.give_back();
    const Decision decision = attempts.failed(failed, others, impl.budget, monotonic_ms());
    if (std::holds_alternative<GiveUp>(decision)) {
      if (refused_for_wait(error)) impl.refusals.remember(need.model, tenant, error, monotonic_ms());
      break;
    }
    log::info("retrying", {{"request", id}, {"node", choice.node}, {"code", to_string(error.code)}, {"after_tokens", resume.request().resume_ids.size()}});
    if (impl.counted) {
      impl.retries.add(1, {to_string(error.code)});
      if (resume.resumed()) impl.resumes.add();
    }
    if (const auto* room = std::get_if<WaitForRoom>(&decision)) {
      wait = true;
      owes_budget = room->costs_budget;
      if (error.code == Code::WorkerGone) {
        // What refuses connections is asked again at once by all who wait, until it is known to be dead.
        asio::steady_timer pause(impl.executor, std::chrono::milliseconds(kLookMs));
        co_await pause.async_wait(asio::use_awaitable);
      }
      continue;
    }
    const Retry& retry = std::get<Retry>(decision);
    holds_budget = retry.costs_budget;
    if (retry.same_node) attempts.forget_tried();
    const int64_t pause = retry.at - monotonic_ms();
    if (pause > 0) {
      asio::steady_timer timer(impl.executor, std::chrono::milliseconds(pause));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }
  if (impl.counted) impl.failures.add(1, {to_string(error.code)});
  co_await sink.put(Failure{error});
}

}  // namespace verge::router
