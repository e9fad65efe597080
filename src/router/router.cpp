// The shell: asks the pure parts and does what they say. One request is one coroutine; what it holds
// (its place in the registry, in the retry budget) it gives back in destructors, so that a cancelled
// one leaves nothing behind.
#include "router/router.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <map>

#include "router/attempts.h"
#include "router/choose.h"
#include "router/registry.h"
#include "router/resume.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/trace.h"

namespace verge::router {

namespace asio = boost::asio;
using namespace protocol;

namespace {

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

struct Router::Impl {
  asio::any_io_executor executor;
  Registry registry;
  RetryBudget budget;
  std::map<std::string, Service*> services;
  metrics::Counter retries, resumes, failures;
  bool counted = false;
};

namespace {

// One attempt's events: on to the client as Resume allows, failures kept for Attempts.
class AttemptSink : public EventSink {
 public:
  AttemptSink(EventSink& client, Resume& resume, Registry& registry, uint64_t flight) : client_(client), resume_(resume), registry_(registry), flight_(flight) {}

  task<bool> put(Event event) override {
    if (ended || failure) co_return false;
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
    const bool taken = co_await client_.put(std::move(**out));
    if (!taken) gone = true;
    co_return taken;
  }

  bool ended = false;  // the terminal event has been passed on
  bool gone = false;   // the client is
  std::optional<Error> failure;

 private:
  EventSink& client_;
  Resume& resume_;
  Registry& registry_;
  uint64_t flight_;
};

}  // namespace

Router::Router(asio::any_io_executor executor, metrics::Registry* metrics) : impl_(std::make_unique<Impl>()) {
  impl_->executor = std::move(executor);
  if (!metrics) return;
  impl_->counted = true;
  impl_->retries = metrics->counter("verge_router_retries_total", "Attempts repeated after a failure.", {"reason"});
  impl_->resumes = metrics->counter("verge_router_resumes_total", "Answers continued by another attempt after their first token.");
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
void Router::update_node(const std::string& name, const NodeState& state) {
  if (impl_->services.count(name)) impl_->registry.heartbeat(name, state, monotonic_ms());
}

void Router::set_region(const std::string& region) {
  Place place;
  place.region = region;
  impl_->registry.set_place(std::move(place));
}
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

task<void> Router::run(Request request, EventSink& sink) {
  Impl& impl = *impl_;
  Need need;
  need.model = request.model;
  need.affinity = request.affinity;
  need.no_wait = request.reject_if_busy;
  read_prompt(request, need);
  const uint64_t seed = request.seed;
  // The deadline is on the wall clock; decisions are on the one that never jumps.
  const int64_t now = monotonic_ms();
  Attempts attempts(request.deadline_ms ? now + (request.deadline_ms - unix_ms()) : 0, seed, !request.reject_if_busy);
  const std::string id = request.id;
  Resume resume(std::move(request));
  impl.budget.request_started();
  AtEnd request_over([&impl] { impl.budget.request_ended(); });
  bool holds_budget = false;
  AtEnd budget_back([&] {
    if (holds_budget) impl.budget.give_back();
  });

  Error error;
  for (int attempt = 0;; ++attempt) {
    const uint64_t attempt_seed = seed + static_cast<uint64_t>(attempt);
    const Choice choice = choose(impl.registry, need, attempts.tried(), monotonic_ms(), attempt_seed);
    const auto service = impl.services.find(choice.node);
    if (!choice || service == impl.services.end()) {
      if (attempt == 0 && !impl.registry.nodes().empty() && !held_somewhere(impl.registry, need.model))
        error = fail(Code::ModelUnavailable, "model {} is on no node of this cluster: run 'verge pull {}' on one, or start one with --model {}=PATH", need.model, need.model, need.model);
      else if (attempt == 0) error = Error{Code::Busy, choice.why, 0, 0, 1000};
      break;  // else: the error of the attempt before
    }
    const uint64_t flight = impl.registry.started(choice.node, need.model, need.prompt_tokens, choice.estimate_ms, monotonic_ms());
    AttemptSink attempt_sink(sink, resume, impl.registry, flight);
    const Error* outcome = nullptr;
    {
      const Error cancelled{Code::Aborted, ""};
      outcome = &cancelled;
      AtEnd attempt_over([&] { impl.registry.ended(flight, outcome, monotonic_ms()); });
      Request next = resume.next();
      trace::Span span("attempt", trace::Kind::Client, next.traceparent);
      span.set("verge.node", choice.node);
      span.set("verge.attempt", int64_t{attempt + 1});
      span.set("verge.expected_ms", choice.expected_ms);
      next.traceparent = span.traceparent();
      co_await service->second->run(std::move(next), attempt_sink);
      if (attempt_sink.failure) span.fail(attempt_sink.failure->message);
      if (attempt_sink.failure) outcome = &*attempt_sink.failure;
      else if (attempt_sink.ended) outcome = nullptr;
    }
    if (need.prefix && resume.accepted()) impl.registry.cached(need.prefix, choice.node, need.prompt_tokens);
    if (attempt_sink.ended || attempt_sink.gone) co_return;
    need.digest = resume.build();
    error = attempt_sink.failure ? *attempt_sink.failure : fail(Code::WorkerGone, "{} ended without an answer", choice.node);

    const Failed failed{choice.node, choice.local, error, resume.accepted(), resume.progress()};
    attempts.mark_tried(choice.node);
    const bool others = static_cast<bool>(choose(impl.registry, need, attempts.tried(), monotonic_ms(), attempt_seed));
    if (std::exchange(holds_budget, false)) impl.budget.give_back();
    const Decision decision = attempts.failed(failed, others, impl.budget, monotonic_ms());
    Retry retry;
    if (const auto* at_once = std::get_if<Retry>(&decision)) {
      retry = *at_once;
    } else if (const auto* room = std::get_if<WaitForRoom>(&decision); room && room->costs_budget && monotonic_ms() - now < limits::kRoomWaitMs) {
      // No node took it: all can be tried again, once the budget has room for it.
      bool may = false;
      while (!may && monotonic_ms() - now < limits::kRoomWaitMs) {
        asio::steady_timer pause(impl.executor, std::chrono::milliseconds(limits::kRetrySameMs));
        co_await pause.async_wait(asio::use_awaitable);
        may = impl.budget.take(monotonic_ms());
      }
      if (!may) break;
      retry.costs_budget = retry.same_node = true;
    } else {
      break;
    }
    holds_budget = retry.costs_budget;
    if (retry.same_node) attempts.forget_tried();
    log::info("retrying", {{"request", id}, {"node", choice.node}, {"code", to_string(error.code)}, {"after_tokens", resume.request().resume_ids.size()}});
    if (impl.counted) {
      impl.retries.add(1, {to_string(error.code)});
      if (resume.resumed()) impl.resumes.add();
    }
    const int64_t wait = retry.at - monotonic_ms();
    if (wait > 0) {
      asio::steady_timer timer(impl.executor, std::chrono::milliseconds(wait));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }
  if (impl.counted) impl.failures.add(1, {to_string(error.code)});
  co_await sink.put(Failure{error});
}

}  // namespace verge::router
