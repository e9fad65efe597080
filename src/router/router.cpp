// The shell: carries out what journeys.h decides. One request is one coroutine; when it ends, for
// whatever reason, it tells Journeys so, and a cancelled one leaves nothing behind.
#include "router/router.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <unordered_map>

#include "router/journeys.h"
#include "router/resume.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/log.h"
#include "support/spawn.h"
#include "support/trace.h"

namespace verge::router {

namespace asio = boost::asio;
using namespace protocol;

namespace {

// One request: what it is to do next, and how it is made to stop what it does.
struct Call {
  Call(const asio::any_io_executor& executor, Request request) : id(request.id), resume(std::move(request)), wake(executor) {}
  std::string id;
  Resume resume;
  std::optional<Action> next;         // Start or Fail
  asio::steady_timer wake;            // cancelled when that is there
  bool hung_up = false;               // on the attempt under way
  bool putting = false;               // the client is taking an event: that is not interrupted
  Interruptible* running = nullptr;   // the attempt, where it can be
};

}  // namespace

class AttemptSink;

struct Router::Impl {
  Impl(asio::any_io_executor e, bool may_wait) : executor(std::move(e)), journeys(may_wait), timer(executor) {}

  asio::any_io_executor executor;
  Journeys journeys;
  std::unordered_map<uint64_t, Call*> calls;
  std::map<std::string, Service*> services;
  asio::steady_timer timer;
  Instant armed = Journeys::kNever;
  metrics::Counter retries, resumes, failures, waits;
  // Others may count in the same gauges.
  struct Told {
    void now(size_t value) {
      const auto next = static_cast<double>(value);
      if (next != last) gauge.add(next - std::exchange(last, next));
    }
    metrics::Gauge gauge;
    double last = 0;
  };
  Told waiting, under_way, retrying;
  bool counted = false;

  void carry_out(Actions& actions);
  void arm();
  void leave(uint64_t id);
  task<Action> next_action(Call& call);
  task<void> attempt(const Action& start, Call& call, AttemptSink& sink);
};

// Tells each request what it is to do. Its coroutine goes on later, never inside this.
void Router::Impl::carry_out(Actions& actions) {
  for (Action& action : actions) {
    const auto it = calls.find(action.id);
    if (it == calls.end()) continue;
    Call& call = *it->second;
    switch (action.kind) {
      case Action::Kind::Wait:
        if (counted) waits.add();
        break;
      case Action::Kind::Again:
        log::info("retrying", {{"request", call.id}, {"node", action.choice.node}, {"code", to_string(action.error.code)}, {"after_tokens", call.resume.request().resume_ids.size()}});
        if (counted) retries.add(1, {to_string(action.error.code)});
        if (counted && call.resume.resumed()) resumes.add();
        break;
      case Action::Kind::HangUp:
        call.hung_up = true;
        if (call.running && !call.putting) call.running->interrupt();
        break;
      case Action::Kind::Start:
      case Action::Kind::Fail:
        call.next = std::move(action);
        call.wake.cancel();
        break;
    }
  }
  actions.clear();
  if (counted) {
    waiting.now(journeys.waiting());
    under_way.now(journeys.under_way());
    retrying.now(static_cast<size_t>(journeys.retries()));
  }
  arm();
}

void Router::Impl::arm() {
  const Instant at = journeys.wake();
  if (at == Journeys::kNever && armed != at) timer.cancel();
  if (at >= armed) {
    if (at == Journeys::kNever) armed = at;
    return;
  }
  armed = at;
  timer.expires_after(std::chrono::milliseconds(std::max<Instant>(0, at - monotonic_ms())));
  timer.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    armed = Journeys::kNever;
    Actions actions;
    journeys.tick(monotonic_ms(), actions);
    carry_out(actions);
  });
}

void Router::Impl::leave(uint64_t id) {
  calls.erase(id);
  Actions actions;
  journeys.left(id, monotonic_ms(), actions);
  carry_out(actions);
}

task<Action> Router::Impl::next_action(Call& call) {
  while (!call.next) {
    boost::system::error_code woken;
    call.wake.expires_at(asio::steady_timer::time_point::max());
    co_await call.wake.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  Action action = std::move(*call.next);
  call.next.reset();
  call.hung_up = false;
  co_return action;
}

// One attempt's events: on to the client as Resume allows, the failure kept for Journeys.
class AttemptSink : public EventSink {
 public:
  AttemptSink(EventSink& client, Journeys& journeys, uint64_t id, Call& call) : client_(client), journeys_(journeys), id_(id), call_(call) {}

  task<bool> put(Event event) override {
    if (ended || failure || call_.hung_up) co_return false;
    journeys_.heard(id_);
    if (auto* failed = std::get_if<Failure>(&event)) {
      failure = std::move(failed->error);
      co_return true;
    }
    if (const auto* accepted = std::get_if<Accepted>(&event)) journeys_.accepted(id_, accepted->build, accepted->load, monotonic_ms());
    const bool news = std::holds_alternative<Token>(event) || std::holds_alternative<Part>(event) || std::holds_alternative<protocol::Result>(event);
    const bool last = terminal(event);
    const bool had = call_.resume.progress();
    auto out = call_.resume.pass(std::move(event));
    if (!out) {
      failure = out.error();
      co_return false;
    }
    if (news && !had && call_.resume.progress()) journeys_.progressed(id_, monotonic_ms());
    if (last) ended = true;
    if (!out->has_value()) co_return true;
    const bool resumable = std::holds_alternative<Token>(**out);
    call_.putting = true;
    const Finally put_over{[this] { call_.putting = false; }};
    const bool taken = co_await client_.put(std::move(**out));
    if (!taken) gone = true;
    // A reader that reads nothing keeps no slot: what it has is enough to go on from when it reads again.
    if (taken && resumable && client_.stalled()) paused = true;
    co_return taken && !paused && !call_.hung_up;
  }

  bool ended = false;   // the terminal event has been passed on
  bool gone = false;    // the client is
  bool paused = false;  // the attempt was given up, for the client reads nothing
  std::optional<Error> failure;

 private:
  EventSink& client_;
  Journeys& journeys_;
  uint64_t id_;
  Call& call_;
};

task<void> Router::Impl::attempt(const Action& start, Call& call, AttemptSink& sink) {
  Request next = call.resume.next();
  // The limit is one on the first part of an answer.
  if (!next.resume_ids.empty()) next.deadline_ms = 0;
  trace::Span span("attempt", trace::Kind::Client, next.traceparent);
  span.set("verge.node", start.choice.node);
  span.set("verge.attempt", int64_t{start.attempt});
  span.set("verge.expected_ms", start.choice.expected_ms);
  next.traceparent = span.traceparent();
  const auto found = services.find(start.choice.node);
  Service* const service = found == services.end() ? nullptr : found->second;
  if (!service) {
    sink.failure = fail(Code::WorkerGone, "node {} left", start.choice.node);
  } else if (start.choice.local && !next.deadline_ms) {
    co_await service->run(std::move(next), sink);
  } else {
    Interruptible work(executor, "an attempt");
    call.running = &work;
    const Finally over{[&call] { call.running = nullptr; }};
    auto running = work.run([&] { return service->run(std::move(next), sink); });
    co_await std::move(running);
  }
  if (sink.failure) span.fail(sink.failure->message);
}

Router::Router(asio::any_io_executor executor, metrics::Registry* metrics, bool wait_for_room) : impl_(std::make_unique<Impl>(std::move(executor), wait_for_room)) {
  if (!metrics) return;
  impl_->counted = true;
  impl_->retries = metrics->counter("verge_router_retries_total", "Attempts repeated after a failure.", {"reason"});
  impl_->resumes = metrics->counter("verge_router_resumes_total", "Answers continued by another attempt after their first token.");
  impl_->waits = metrics->counter("verge_router_waits_total", "Requests that had to wait because no node had room.");
  impl_->waiting.gauge = metrics->gauge("verge_router_waiting", "Requests that wait for room now.");
  impl_->under_way.gauge = metrics->gauge("verge_router_under_way", "Requests that are not over.");
  impl_->retrying.gauge = metrics->gauge("verge_router_retries_under_way", "Of the retry budget: attempts that hold some of it.");
  impl_->failures = metrics->counter("verge_router_failures_total", "Requests that failed after all attempts.", {"code"});
}
Router::~Router() = default;

void Router::add_node(const std::string& name, Service& service, bool local) {
  impl_->services[name] = &service;
  NodeState state;
  state.any_model = local;
  impl_->journeys.registry().add(name, local, std::move(state), monotonic_ms());
}
void Router::remove_node(const std::string& name) {
  impl_->services.erase(name);
  impl_->journeys.registry().remove(name);
}
void Router::set_draining(const std::string& name, bool draining) { impl_->journeys.registry().set_draining(name, draining); }
void Router::set_suspect(const std::string& name, const std::string& model, bool suspect) { impl_->journeys.registry().set_suspect(name, model, suspect); }
void Router::update_node(const std::string& name, const NodeState& state) {
  if (!impl_->services.count(name)) return;
  Actions actions;
  impl_->journeys.heartbeat(name, state, monotonic_ms(), actions);
  impl_->carry_out(actions);
}

void Router::set_place(const Place& place) { impl_->journeys.registry().set_place(place); }
std::map<std::string, double> Router::demand() const { return impl_->journeys.demand(monotonic_ms()); }
void Router::rtt(const std::string& name, double ms) { impl_->journeys.registry().rtt(name, ms); }

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
  if (const json::value* texts = request.params.if_contains("texts")) {
    if (const json::array* list = texts->if_array()) {
      for (const json::value& one : *list) take(one);
    } else {
      take(*texts);
    }
  }
  need.prompt_tokens = static_cast<int64_t>(bytes / kBytesPerToken) + 1;
  if (bytes >= kPrefixBytes) need.prefix = prefix_key(request.model, text);
}

Arrival arrival_of(const Request& request) {
  Arrival arrival;
  arrival.need.model = request.model;
  arrival.need.affinity = request.affinity;
  arrival.need.no_wait = request.reject_if_busy;
  read_prompt(request, arrival.need);
  arrival.tenant = request.tenant;
  arrival.seed = request.seed;
  // The deadline is on the wall clock; decisions are on the one that never jumps.
  if (request.deadline_ms) arrival.deadline = std::max<Instant>(1, monotonic_ms() + request.deadline_ms - unix_ms());
  arrival.in_steps = request.task == "text-generation";
  return arrival;
}

}  // namespace

std::set<std::string> Router::models() const {
  const Instant now = monotonic_ms();
  const Registry& registry = impl_->journeys.registry();
  std::set<std::string> ids;
  for (const auto& [name, node] : registry.nodes()) {
    if (registry.health(node, now) == Health::Dead) continue;
    for (const auto& [id, state] : node.state.models) ids.insert(id);
  }
  return ids;
}

task<void> Router::run(Request request, EventSink& sink) {
  Impl& impl = *impl_;
  Journeys& journeys = impl.journeys;
  Arrival arrival = arrival_of(request);
  Call call(impl.executor, std::move(request));
  Actions actions;
  const uint64_t id = journeys.arrived(std::move(arrival), monotonic_ms(), actions);
  impl.calls[id] = &call;
  const Finally over{[&impl, id] { impl.leave(id); }};
  impl.carry_out(actions);
  for (;;) {
    auto coming = impl.next_action(call);
    const Action action = co_await std::move(coming);
    if (action.kind == Action::Kind::Fail) {
      if (impl.counted) impl.failures.add(1, {to_string(action.error.code)});
      co_await sink.put(Failure{action.error});
      co_return;
    }
    AttemptSink attempt(sink, journeys, id, call);
    auto trying = impl.attempt(action, call, attempt);
    co_await std::move(trying);
    if (attempt.gone || (attempt.ended && call.hung_up)) co_return;
    if (call.hung_up) continue;
    const auto tokens = static_cast<int64_t>(call.resume.request().resume_ids.size());
    if (attempt.ended) {
      journeys.ended(id, tokens, monotonic_ms(), actions);
      impl.carry_out(actions);
      co_return;
    }
    if (attempt.paused) {
      journeys.stalled(id, tokens, monotonic_ms(), actions);
      impl.carry_out(actions);
      const bool reads_again = co_await sink.caught_up();
      if (!reads_again) co_return;
      journeys.reads_again(id, monotonic_ms(), actions);
    } else {
      Error error = attempt.failure ? *attempt.failure : fail(Code::WorkerGone, "{} ended without an answer", action.choice.node);
      journeys.failed(id, std::move(error), tokens, monotonic_ms(), actions);
    }
    impl.carry_out(actions);
  }
}

}  // namespace verge::router
