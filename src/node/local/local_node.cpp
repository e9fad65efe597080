#include "node/local/local_node.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include "node/local/naming_sink.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/spawn.h"
#include "support/trace.h"

namespace verge::node {
namespace asio = boost::asio;
using protocol::task;

Slot& LocalNode::slot_for(const Resolved& model) {
  auto& slot = slots_[model.id];
  if (!slot) slot = std::make_unique<Slot>(model, executor_, options_.hung_after_ms > 0 ? options_.hung_after_ms : kHungFloorMs);
  return *slot;
}

void LocalNode::release(Slot& slot, const std::optional<Error>& error) {
  for (Waiter* waiter : slot.waiters) {
    waiter->done = true;
    waiter->error = error;
    waiter->timer.cancel();
  }
  slot.waiters.clear();
}

// Carries out what the supervisor decides.
void LocalNode::apply(Slot& slot, const Supervisor::Event& event) {
  for (auto& action : slot.supervisor.step(event, monotonic_ms())) {
    if (std::holds_alternative<Supervisor::Spawn>(action)) {
      // Who waited for a model that was just ended has it loaded again: not here, not any more.
      if (stopping_) failed(slot, fail(Code::Busy, "the server is shutting down"), "not started");
      else verge::spawn(executor_, "loading a model", [self = shared_from_this(), &slot] { return self->load(slot); });
    } else if (std::holds_alternative<Supervisor::Terminate>(action)) {
      if (slot.child) slot.child->terminate();
      else apply(slot, Supervisor::Exited{"never started"});
    } else if (std::holds_alternative<Supervisor::Kill>(action)) {
      if (slot.child) slot.child->kill();
    } else if (std::holds_alternative<Supervisor::ReleaseWaiters>(action)) {
      release(slot, std::nullopt);
    } else if (auto* failed = std::get_if<Supervisor::FailWaiters>(&action)) {
      if (!stopping_) log::error("model cannot be served", {{"model", slot.model.id}, {"error", failed->error.message}});
      release(slot, failed->error);
    } else if (auto* wake = std::get_if<Supervisor::WakeAt>(&action)) {
      slot.wake.expires_after(std::chrono::milliseconds(std::max<int64_t>(0, wake->ms - monotonic_ms())));
      slot.wake.async_wait([self = shared_from_this(), &slot](boost::system::error_code ec) {
        if (!ec) self->apply(slot, Supervisor::Tick{});
      });
    }
  }
}

task<Result<void>> LocalNode::ensure_ready(Slot& slot, const protocol::Request& request) {
  if (slot.supervisor.state() == Supervisor::State::Ready && slot.client) co_return Result<void>();
  if (stopping_) co_return fail(Code::Busy, "the server is shutting down");
  if (static_cast<int>(slot.waiters.size()) >= limits::kColdWaiters) {
    Error error = fail(Code::Busy, "model {} is loading and {} requests wait for it", slot.model.id, slot.waiters.size());
    error.retry_after_ms = 1000;
    co_return error;
  }
  Waiter waiter(executor_);
  const Finally leave{[&] { slot.waiters.remove(&waiter); }};
  slot.waiters.push_back(&waiter);
  apply(slot, Supervisor::Want{});
  if (request.reject_if_busy && !waiter.done) {
    Error error = fail(Code::Busy, "model {} is not loaded yet", slot.model.id);
    error.retry_after_ms = 1000;
    co_return error;
  }
  if (!waiter.done) {
    waiter.timer.expires_after(std::chrono::milliseconds(limits::kLoadTimeMs));
    co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (waiter.error) co_return *waiter.error;
  if (!waiter.done) {
    Error error = fail(Code::Busy, "model {} is still loading ({} %)", slot.model.id, static_cast<int>(slot.progress * 100));
    error.retry_after_ms = 5000;
    co_return error;
  }
  if (!slot.client) co_return fail(Code::WorkerGone, "the process of model {} is gone", slot.model.id);
  co_return Result<void>();
}

task<void> LocalNode::run(protocol::Request request, protocol::EventSink& sink) {
  auto self = shared_from_this();
  auto model = resolve(request.model);
  // It may have been pulled or removed a moment ago.
  if (changes_ != changes_known_ || (!model && model.error().code == Code::ModelUnavailable)) {
    auto looking = look();
    co_await std::move(looking);
    model = resolve(request.model);
  }
  if (!model) {
    co_await sink.put(protocol::Failure{model.error()});
    co_return;
  }
  if (request.task != model->task) {
    co_await sink.put(protocol::Failure{fail(Code::InvalidInput, "model {} is for {}, not for {}", request.model, model->task, request.task)});
    co_return;
  }
  trace::Span span("run", trace::Kind::Server, request.traceparent);
  span.set("gen_ai.request.model", model->id);
  span.set("verge.request_id", request.id);
  request.traceparent = span.traceparent();
  Slot& slot = slot_for(*model);
  auto ready = co_await ensure_ready(slot, request);
  if (!ready) {
    span.fail(ready.error().message);
    co_await sink.put(protocol::Failure{ready.error()});
    co_return;
  }
  ledger_.touch(slot.model.id, ++slot.in_flight, monotonic_ms());
  const Finally leave{[&] { ledger_.touch(slot.model.id, --slot.in_flight, monotonic_ms()); }};
  ++slot.requests;
  // `substituted` belongs to this request, not to the slot: the stand-in may also be asked by its own id.
  const Resolved named = *model;
  NamingSink naming(sink, options_.name, named, slot);
  // A reference is not enough: a crash during the run resets slot.client.
  std::shared_ptr<protocol::Client> client = slot.client;
  co_await client->run(std::move(request), naming);
}

void LocalNode::preload(const std::string& id) {
  auto model = resolve(id);
  if (!model) {
    log::warn("cannot preload", {{"model", id}, {"error", model.error().message}});
    return;
  }
  apply(slot_for(*model), Supervisor::Want{});
}

void LocalNode::unload(const std::string& id) {
  auto model = resolve(id);
  if (!model) return;
  const auto found = slots_.find(model->id);
  if (found == slots_.end() || found->second->in_flight > 0 || !found->second->waiters.empty()) return;
  log::info("unloading model", {{"model", model->id}});
  apply(*found->second, Supervisor::Stop{});
}

task<void> LocalNode::stop(int64_t drain_ms) {
  auto self = shared_from_this();
  stopping_ = true;
  next_look_.cancel();
  for (auto& [id, slot] : slots_) apply(*slot, Supervisor::Stop{});
  asio::steady_timer timer(executor_);
  const int64_t end = monotonic_ms() + drain_ms;
  auto running = [&] { return std::any_of(slots_.begin(), slots_.end(), [](auto& s) { return s.second->child != nullptr; }); };
  while (running() && monotonic_ms() < end) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  for (auto& [id, slot] : slots_) {
    slot->wake.cancel();
    slot->asking.cancel();
    if (slot->child) slot->child->kill();
    slot->child.reset();
    slot->client.reset();
  }
}

}  // namespace verge::node
