// From the wish for a model to its process, and what that says while it starts.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include "node/io/digest.h"
#include "node/load_error.h"
#include "node/local/local_node.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/spawn.h"
#include "support/version.h"

namespace verge::node {
namespace asio = boost::asio;
using protocol::task;

// A load that came to nothing before there was a process.
void LocalNode::failed(Slot& slot, const Error& error, const char* how) {
  const auto state = slot.supervisor.state();
  if (state == Supervisor::State::Loading) {
    apply(slot, Supervisor::LoadFailed{error});
    apply(slot, Supervisor::Exited{how});
  } else if (state == Supervisor::State::Stopping) {
    apply(slot, Supervisor::Exited{"stopped before it started"});
  }
}

// Looks at the files as they are now, and at their headers where that was not done yet. False: the load has failed.
task<bool> LocalNode::loadable(Slot& slot, int64_t load) {
  auto looking = look();
  co_await std::move(looking);
  if (slot.load != load) co_return false;
  auto now = resolve(slot.model.id);
  if (!now) {
    failed(slot, now.error(), "its files are gone");
    co_return false;
  }
  slot.model = std::move(*now);
  auto asking = inspecting_.run<Inspections::Known>([known = options_.inspections, files = slot.model.files](const Pool::Abandoned&) { return known->of(files); });
  const auto seen = co_await std::move(asking);
  if (slot.load != load) co_return false;
  if (seen) {
    slot.fingerprint = seen->fingerprint;
    co_return true;
  }
  log::error("loading failed", {{"model", slot.model.id}, {"code", to_string(seen.error().code)}, {"error", seen.error().message}});
  failed(slot, load_error(seen.error(), slot.model.id), "not started");
  co_return false;
}

// Equal on two machines only if an answer that one began can go on at the other without a byte different.
std::string LocalNode::build_of(const Slot& slot) const {
  if (slot.fingerprint.empty()) return {};
  Digest digest;
  const std::string text = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", slot.fingerprint, slot.model.id, get_string(slot.ready, "arithmetic").value_or(""), options_.weights,
                                       options_.kv_type, version());
  digest.add(text.data(), text.size());
  return digest.hex().substr(0, 16);
}

// Reserves memory (evicting idle models, waiting for busy ones) and starts the worker.
task<void> LocalNode::load(Slot& slot) {
  slot.load_started_ms = monotonic_ms();
  const int64_t load = ++slot.load;
  auto looking = loadable(slot, load);
  const bool fine = co_await std::move(looking);
  if (!fine) co_return;
  const uint64_t bytes = memory_estimate(slot.model);
  asio::steady_timer timer(executor_);
  for (const int64_t give_up = monotonic_ms() + limits::kQueueTimeMs;;) {
    if (slot.supervisor.state() != Supervisor::State::Loading) {  // stopped while it waited for memory
      ledger_.release(slot.model.id);
      if (slot.supervisor.state() == Supervisor::State::Stopping) apply(slot, Supervisor::Exited{"stopped before it started"});
      co_return;
    }
    const Ledger::Plan plan = ledger_.plan(slot.model.id, bytes, monotonic_ms());
    if (plan.kind == Ledger::Plan::Kind::Fits) break;
    if (plan.kind == Ledger::Plan::Kind::Never || monotonic_ms() > give_up) {
      Error error = does_not_fit(slot.model, bytes);
      if (bytes <= ledger_.budget())
        error = fail(Code::Busy, "model {} needs {} MiB of memory; the budget is {} MiB and {} MiB are in use (see --memory)", slot.model.id, bytes >> 20,
                     ledger_.budget() >> 20, ledger_.reserved() >> 20);
      failed(slot, error, "no memory");
      co_return;
    }
    obey(slot, plan);
    timer.expires_after(std::chrono::milliseconds(plan.evict.empty() ? std::clamp<int64_t>(plan.wait_ms, 20, 500) : 20));
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (slot.load != load) co_return;
  }
  if (!ledger_.reserve(slot.model.id, bytes, false, monotonic_ms())) {
    failed(slot, fail(Code::Busy, "no memory for model {}", slot.model.id), "no memory");
    co_return;
  }
  spawn(slot);
}

void LocalNode::spawn(Slot& slot) {
  std::vector<std::string> argv = {options_.program, "worker", "--model", slot.model.files.path, "--id", slot.model.id, "--node", options_.name,
                                   "--kv-bytes", std::to_string(kv_bytes()), "--memory-bytes", std::to_string(options_.memory_bytes)};
  if (options_.context_tokens > 0) argv.insert(argv.end(), {"--context", std::to_string(options_.context_tokens)});
  if (options_.threads > 0) argv.insert(argv.end(), {"--threads", std::to_string(options_.threads)});
  if (!options_.kv_type.empty()) argv.insert(argv.end(), {"--kv-type", options_.kv_type});
  if (!options_.weights.empty()) argv.insert(argv.end(), {"--weights", options_.weights});
  if (options_.null_engine) argv.push_back("--null-engine");
  ChildCallbacks callbacks;
  callbacks.on_status = [this, &slot](const json::object& status) { on_status(slot, status); };
  callbacks.on_exit = [weak = weak_from_this(), &slot](const std::string& how) {
    auto self = weak.lock();
    if (!self) return;
    const auto state = slot.supervisor.state();
    if (state == Supervisor::State::Stopping) log::info("model process ended", {{"model", slot.model.id}, {"how", how}});
    else log::warn("model process ended", {{"model", slot.model.id}, {"how", how}});
    slot.client.reset();
    slot.child.reset();
    slot.asking.cancel();
    slot.held = 0;
    self->ledger_.release(slot.model.id);
    const bool suspect = slot.supervisor.suspect();
    self->apply(slot, Supervisor::Exited{how});
    if (suspect && self->told_) {
      for (const std::string& id : self->ids_of(slot)) self->told_(id, false);
    }
  };
  auto child = Child::spawn(executor_, argv, sockets_->next(), std::move(callbacks));
  if (!child) {
    ledger_.release(slot.model.id);
    log::error("a model's process cannot be started", {{"model", slot.model.id}, {"error", child.error().message}});
    apply(slot, Supervisor::LoadFailed{load_error(child.error(), slot.model.id)});
    apply(slot, Supervisor::Exited{"not started"});
    return;
  }
  slot.child = std::move(*child);
  http::Endpoint endpoint;
  endpoint.unix_path = slot.child->socket_path();
  slot.client = std::make_shared<protocol::Client>(executor_, endpoint);
  ++slot.loads;
  slot.life.started(slot.model.files.bytes);
  verge::spawn(executor_, "watching a model process", [self = shared_from_this(), &slot, process = slot.loads] { return self->watch(slot, process); });
  log::info("loading model", {{"model", slot.model.id}, {"path", slot.model.files.path}, {"pid", slot.child->pid()}});
}

void LocalNode::on_status(Slot& slot, const json::object& status) {
  const std::string state = get_string(status, "state").value_or("");
  if (state == "loading") {
    slot.progress = get_number(status, "progress").value_or(0);
    slot.life.load_line();
  } else if (state == "ready") {
    slot.ready = status;
    slot.life.ready();
    slot.load_ms = monotonic_ms() - slot.load_started_ms;
    slot.own = protocol::ModelReport();
    slot.build = build_of(slot);
    if (!weigh(slot)) return;
    log::info("model ready", {{"model", slot.model.id}, {"ms", slot.load_ms}, {"context", get_int(status, "context_tokens").value_or(0)}});
    apply(slot, Supervisor::LoadReady{});
  } else if (state == "failed") {
    const json::object* object = get_object(status, "error");
    Error error = fail(Code::LoadFailed, "no reason was given");
    if (object) error = Error{code_from_string(get_string(*object, "code").value_or("")), get_string(*object, "message").value_or("")};
    if (object) error.retry_after_ms = get_int(*object, "retry_after_ms").value_or(0);
    log::error("loading failed", {{"model", slot.model.id}, {"code", to_string(error.code)}, {"error", error.message}});
    apply(slot, Supervisor::LoadFailed{load_error(error, slot.model.id)});
  }
}

}  // namespace verge::node
