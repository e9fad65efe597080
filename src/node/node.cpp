#include "node/node.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/as_tuple.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <list>
#include <utility>

#include "node/io/child.h"
#include "node/io/digest.h"
#include "node/io/installed.h"
#include "node/io/watch.h"
#include "node/ledger.h"
#include "node/liveness.h"
#include "node/load_error.h"
#include "node/pace.h"
#include "node/supervisor.h"
#include "protocol/client.h"
#include "protocol/progress.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/pool.h"
#include "support/spawn.h"
#include "support/trace.h"
#include "support/version.h"

namespace verge::node {
namespace {

namespace asio = boost::asio;
using protocol::task;
using Clock = std::chrono::steady_clock;

constexpr int kLookMs = 1'000;          // a model that was pulled, replaced or removed shows after so long
constexpr int kAskWorkerMs = 1'000;   // how often, and how long for the answer
constexpr int kAskIdleTimes = 5;      // so much rarer where nothing is under way
constexpr uint64_t kProcessBytes = 64ull << 20;  // of a model's process, besides what the model takes
constexpr uint64_t kLoadBytesPerMs = 500'000;  // a load that nobody has measured yet: a SATA disk's speed

int64_t now_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count(); }

uint64_t read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : 0;
}

uint64_t machine_memory() {
  const uint64_t physical = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  const uint64_t cgroup = read_number("/sys/fs/cgroup/memory.max");  // "max" reads as 0
  return cgroup > 0 ? std::min(physical, cgroup) : physical;
}

// One coroutine that waits for its model.
struct Waiter {
  explicit Waiter(const asio::any_io_executor& executor) : timer(executor, Clock::time_point::max()) {}
  asio::steady_timer timer;
  bool done = false;
  std::optional<Error> error;
};

struct Slot {
  Slot(Resolved r, const asio::any_io_executor& executor, int64_t hung_ms) : model(std::move(r)), supervisor(model.id), life(hung_ms), wake(executor), asking(executor) {}
  Resolved model;
  Supervisor supervisor;
  Liveness life;
  std::unique_ptr<Child> child;
  std::shared_ptr<protocol::Client> client;
  std::list<Waiter*> waiters;
  asio::steady_timer wake, asking;  // asking: of watch(), cancelled when the process ends
  json::object ready;       // the worker's own figures
  protocol::ModelReport own;  // what it last said of itself
  std::string build, fingerprint;
  bool changed = false;     // the files, since it was loaded
  uint64_t held = 0;        // what the loaded model turned out to hold, bytes
  Pace pace;
  double progress = 0;
  int in_flight = 0;
  int64_t load = 0;         // number of the one under way; an older one that still waits for something is over
  int64_t loads = 0, load_started_ms = 0, load_ms = 0;
  uint64_t requests = 0;
};

// Writes who answers into Accepted, measures how long it took, and passes all else on.
class NamingSink : public protocol::EventSink {
 public:
  NamingSink(protocol::EventSink& next, const std::string& node, const Resolved& model, Slot& slot)
      : next_(next), node_(node), model_(model), slot_(slot), build_(slot.build), came_ms_(now_ms()), alone_(slot.in_flight == 1) {}
  ~NamingSink() override {
    if (accepted_ms_ > 0) slot_.pace.held(now_ms() - accepted_ms_);
  }
  NamingSink(const NamingSink&) = delete;
  NamingSink& operator=(const NamingSink&) = delete;
  task<bool> put(protocol::Event event) override {
    if (auto* accepted = std::get_if<protocol::Accepted>(&event)) {
      accepted_ms_ = now_ms();
      if (alone_) slot_.pace.accepted_alone(accepted_ms_ - came_ms_, accepted->prompt_tokens - accepted->cached_tokens, slot_.own.prefill_tokens_per_s);
      accepted->node = node_;
      accepted->build = build_;
      accepted->model = model_.id;
      accepted->substituted = model_.substituted;
    }
    return next_.put(std::move(event));
  }

 private:
  protocol::EventSink& next_;
  const std::string& node_;
  const Resolved& model_;
  Slot& slot_;
  const std::string build_;
  const int64_t came_ms_;
  const bool alone_;
  int64_t accepted_ms_ = 0;
};

class LocalNode : public Node, public std::enable_shared_from_this<LocalNode> {
 public:
  LocalNode(asio::any_io_executor executor, const catalogue::Catalogue& catalogue, NodeOptions options, std::unique_ptr<SocketFolder> sockets)
      : executor_(std::move(executor)), catalogue_(catalogue), options_(std::move(options)), sockets_(std::move(sockets)), ledger_(options_.memory_bytes), next_look_(executor_),
        looked_(executor_, Clock::time_point::max()) {}

  task<void> run(protocol::Request request, protocol::EventSink& sink) override;
  void preload(const std::string& id) override;
  Result<void> could_load(const std::string& id) const override;
  void unload(const std::string& id) override;
  json::value status() const override;
  task<void> stop(int64_t drain_ms) override;
  std::vector<protocol::ModelReport> figures() override;
  void on_suspect(std::function<void(const std::string&, bool)> told) override { told_ = std::move(told); }
  bool well() const override;
  uint64_t memory_free_bytes() const override { return ledger_.budget() - std::min(ledger_.budget(), ledger_.reserved()); }
  void start();

 private:
  std::function<Installations()> looking() const;
  void took_a_look(Installations found);
  void look_again();
  task<void> look();
  task<void> look_once();
  Result<Resolved> resolve(std::string_view id) const { return resolve_model(catalogue_, options_.resolve, installed_, id); }
  void failed(Slot& slot, const Error& error, const char* how);
  void obey(Slot& slot, const Ledger::Plan& plan);
  bool weigh(Slot& slot);
  task<void> watch(Slot& slot, int64_t process);
  void judge(Slot& slot);
  std::vector<std::string> ids_of(const Slot& slot) const;
  Slot& slot_for(const Resolved& model);
  task<Result<void>> ensure_ready(Slot& slot, const protocol::Request& request);
  void apply(Slot& slot, const Supervisor::Event& event);
  task<void> load(Slot& slot);
  void spawn(Slot& slot);
  void on_status(Slot& slot, const json::object& status);
  static void release(Slot& slot, const std::optional<Error>& error);
  uint64_t kv_need(const MemoryNeed& need, int model_context) const;
  uint64_t memory_estimate(const Resolved& model) const;
  Error does_not_fit(const Resolved& model, uint64_t bytes) const;
  task<bool> loadable(Slot& slot, int64_t load);
  std::string build_of(const Slot& slot) const;
  uint64_t kv_bytes() const { return options_.kv_bytes ? options_.kv_bytes : std::min<uint64_t>(1ull << 30, options_.memory_bytes / 4); }

  asio::any_io_executor executor_;
  const catalogue::Catalogue& catalogue_;
  NodeOptions options_;
  std::unique_ptr<SocketFolder> sockets_;
  Ledger ledger_;
  Pool looking_{1}, inspecting_{1};  // a look must not wait for an inspection
  asio::steady_timer next_look_, looked_;
  bool look_under_way_ = false;
  int64_t looks_begun_ = 0, looks_over_ = 0;
  int64_t changes_ = 0, changes_known_ = 0;  // on the disk, as far as told; of those, in installed_
  std::shared_ptr<Watch> watch_;             // shared with a look that is under way
  Installations installed_;
  std::map<std::string, std::unique_ptr<Slot>> slots_;  // never erased: coroutines hold references
  bool stopping_ = false;
  std::function<void(const std::string&, bool)> told_;  // of suspects
  std::vector<std::pair<std::string, Resolved>> offered_;
};

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
  for (auto& action : slot.supervisor.step(event, now_ms())) {
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
      slot.wake.expires_after(std::chrono::milliseconds(std::max<int64_t>(0, wake->ms - now_ms())));
      slot.wake.async_wait([self = shared_from_this(), &slot](boost::system::error_code ec) {
        if (!ec) self->apply(slot, Supervisor::Tick{});
      });
    }
  }
}

// A loaded model answers on whatever becomes of its files: the next load takes what is there then.
void LocalNode::took_a_look(Installations found) {
  installed_ = std::move(found);
  offered_ = offered_models(catalogue_, options_.resolve, installed_);
  for (auto& [id, slot] : slots_) {
    const auto now = installed_.find(id);
    const bool changed = slot->supervisor.state() == Supervisor::State::Ready && (now == installed_.end() || now->second != slot->model.files);
    if (changed && !slot->changed)
      log::info("files of a loaded model changed: its next load takes them", {{"model", id}, {"path", slot->model.files.path}});
    slot->changed = changed;
  }
}

// For another thread. What changes after it began is told by the watch.
std::function<Installations()> LocalNode::looking() const {
  return [models = sought_models(catalogue_, options_.resolve), folder = options_.resolve.models_folder, watch = watch_] {
    if (watch) {
      for (const std::string& place : places_of(models, folder)) watch->add(place);
    }
    return look_for(models, folder);
  };
}

void LocalNode::start() {
  watch_ = Watch::make(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) ++self->changes_;
  });
  took_a_look(looking()());
  look_again();
}

void LocalNode::look_again() {
  next_look_.expires_after(std::chrono::milliseconds(kLookMs));
  next_look_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
    const auto self = weak.lock();
    if (ec || !self || self->stopping_) return;
    verge::spawn(self->executor_, "looking for models", [self] { return self->look(); }, [self](std::exception_ptr) { self->look_again(); });
  });
}

// Returns after a look that began after the call; calls at one time share it.
task<void> LocalNode::look() {
  const int64_t wanted = looks_begun_ + 1;
  while (looks_over_ < wanted) {
    if (!look_under_way_) {
      look_under_way_ = true;
      ++looks_begun_;
      verge::spawn(executor_, "looking for models", [self = shared_from_this()] { return self->look_once(); },
                   [self = shared_from_this()](std::exception_ptr) {
                     self->look_under_way_ = false;
                     self->looks_over_ = self->looks_begun_;
                     self->looked_.cancel();
                   });
    }
    co_await looked_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

task<void> LocalNode::look_once() {
  const int64_t changes = changes_;
  auto job = looking_.run<Installations>([look = looking()](const Pool::Abandoned&) -> Result<Installations> { return look(); });
  auto found = co_await std::move(job);
  if (!found) co_return;
  changes_known_ = changes;
  took_a_look(std::move(*found));
}

// Keys and values of sixteen whole contexts, as the model's process makes them, where there is room for them.
uint64_t LocalNode::kv_need(const MemoryNeed& need, int model_context) const {
  constexpr uint64_t kSequences = 16;
  if (need.kv_per_token == 0 || model_context <= 0) return kv_bytes();
  const int context = options_.context_tokens > 0 ? std::min(options_.context_tokens, model_context) : model_context;
  const uint64_t each = need.kv_per_token * (options_.kv_type == "f32" ? 2 : 1);
  const uint64_t tokens = kSequences * ((static_cast<uint64_t>(context) + limits::kPageTokens - 1) / limits::kPageTokens * limits::kPageTokens);
  return std::min(kv_bytes(), each * tokens);
}

// What its headers tell; where nobody has asked yet, a guess by the size of its files.
uint64_t LocalNode::memory_estimate(const Resolved& model) const {
  const bool keeps = model.task == "text-generation";
  const auto facts = options_.inspections->known(model.files);
  if (!facts || facts->memory.empty()) return model.files.bytes + model.files.bytes / 8 + (keeps ? kv_bytes() : 0) + kProcessBytes;
  const MemoryNeed need = need_of(*facts, "host");
  return need.weights + need.scratch + (keeps ? kv_need(need, facts->context_tokens) : 0) + kProcessBytes;
}

Error LocalNode::does_not_fit(const Resolved& model, uint64_t bytes) const {
  std::string parts;
  if (const auto facts = options_.inspections->known(model.files); facts && !facts->memory.empty()) {
    const MemoryNeed need = need_of(*facts, "host");
    parts = fmt::format(" ({} of weights, {} for a step's work, the rest for keys, values and the process)", need.weights >> 20, need.scratch >> 20);
  }
  return fail(Code::LoadFailed, "model {} needs {} MiB of memory{}, more than the budget of {} MiB: give it more with --memory", model.id, bytes >> 20, parts,
              ledger_.budget() >> 20);
}

Result<void> LocalNode::could_load(const std::string& id) const {
  VERGE_ASSIGN(model, resolve(id));
  (void)options_.inspections->of(model.files);  // what is wrong with them, the load says
  if (const uint64_t bytes = memory_estimate(model); bytes > ledger_.budget()) return does_not_fit(model, bytes);
  return {};
}

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

// Makes room for what a model holds beyond what was promised it.
void LocalNode::obey(Slot& slot, const Ledger::Plan& plan) {
  for (const std::string& victim : plan.evict) {
    log::info("evicting idle model", {{"model", victim}, {"for", slot.model.id}});
    if (auto it = slots_.find(victim); it != slots_.end()) apply(*it->second, Supervisor::Stop{});
  }
}

// Reserves memory (evicting idle models, waiting for busy ones) and starts the worker.
task<void> LocalNode::load(Slot& slot) {
  slot.load_started_ms = now_ms();
  const int64_t load = ++slot.load;
  auto looking = loadable(slot, load);
  const bool fine = co_await std::move(looking);
  if (!fine) co_return;
  const uint64_t bytes = memory_estimate(slot.model);
  asio::steady_timer timer(executor_);
  for (const int64_t give_up = now_ms() + limits::kQueueTimeMs;;) {
    if (slot.supervisor.state() != Supervisor::State::Loading) {  // stopped while it waited for memory
      ledger_.release(slot.model.id);
      if (slot.supervisor.state() == Supervisor::State::Stopping) apply(slot, Supervisor::Exited{"stopped before it started"});
      co_return;
    }
    const Ledger::Plan plan = ledger_.plan(slot.model.id, bytes, now_ms());
    if (plan.kind == Ledger::Plan::Kind::Fits) break;
    if (plan.kind == Ledger::Plan::Kind::Never || now_ms() > give_up) {
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
  if (!ledger_.reserve(slot.model.id, bytes, false, now_ms())) {
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
    if (state == Supervisor::State::Stopping) log::info("worker ended", {{"model", slot.model.id}, {"how", how}});
    else log::warn("worker ended", {{"model", slot.model.id}, {"how", how}});
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
  verge::spawn(executor_, "watching a worker", [self = shared_from_this(), &slot, process = slot.loads] { return self->watch(slot, process); });
  log::info("loading model", {{"model", slot.model.id}, {"path", slot.model.files.path}, {"pid", slot.child->pid()}});
}

// Counts what the loaded model holds. False: it has to go at once.
bool LocalNode::weigh(Slot& slot) {
  const int64_t said = get_int(slot.ready, "weight_bytes").value_or(0) + get_int(slot.ready, "kv_bytes").value_or(0);
  if (said <= 0) return true;
  const auto facts = options_.inspections->known(slot.model.files);
  slot.held = static_cast<uint64_t>(said) + (facts ? need_of(*facts, "host").scratch : 0) + kProcessBytes;
  const Ledger::Plan plan = ledger_.adjust(slot.model.id, slot.held, now_ms());
  if (plan.kind == Ledger::Plan::Kind::Never) {
    const Error error = does_not_fit(slot.model, slot.held);
    log::error("loading failed", {{"model", slot.model.id}, {"error", error.message}});
    apply(slot, Supervisor::LoadFailed{error});
    slot.child->terminate();
    return false;
  }
  if (plan.kind != Ledger::Plan::Kind::Fits)
    log::warn("a model holds more than was reserved for it", {{"model", slot.model.id}, {"mib", slot.held >> 20}, {"budget_mib", ledger_.budget() >> 20}});
  obey(slot, plan);
  return true;
}

void LocalNode::on_status(Slot& slot, const json::object& status) {
  const std::string state = get_string(status, "state").value_or("");
  if (state == "loading") {
    slot.progress = get_number(status, "progress").value_or(0);
    slot.life.load_line();
  } else if (state == "ready") {
    slot.ready = status;
    slot.life.ready();
    slot.load_ms = now_ms() - slot.load_started_ms;
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

task<Result<void>> LocalNode::ensure_ready(Slot& slot, const protocol::Request& request) {
  if (slot.supervisor.state() == Supervisor::State::Ready && slot.client) co_return Result<void>();
  if (stopping_) co_return fail(Code::Busy, "the server is shutting down");
  if (static_cast<int>(slot.waiters.size()) >= limits::kColdWaiters) {
    Error error = fail(Code::Busy, "model {} is loading and {} requests wait for it", slot.model.id, slot.waiters.size());
    error.retry_after_ms = 1000;
    co_return error;
  }
  Waiter waiter(executor_);
  struct Remove {
    Slot& slot;
    Waiter& waiter;
    ~Remove() { slot.waiters.remove(&waiter); }
  } remove{slot, waiter};
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
  if (!slot.client) co_return fail(Code::WorkerGone, "the worker of model {} is gone", slot.model.id);
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
  struct InFlight {
    LocalNode& node;
    Slot& slot;
    InFlight(LocalNode& n, Slot& s) : node(n), slot(s) { node.ledger_.touch(slot.model.id, ++slot.in_flight, now_ms()); }
    ~InFlight() { node.ledger_.touch(slot.model.id, --slot.in_flight, now_ms()); }
  } in_flight(*this, slot);
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

json::value LocalNode::status() const {
  json::array models;
  for (const auto& [id, slot] : slots_) {
    if (slot->supervisor.state() == Supervisor::State::Cold && slot->loads == 0) continue;
    json::object model = {{"id", id},
                          {"task", slot->model.task},
                          {"path", slot->model.files.path},
                          {"state", slot->supervisor.suspect() ? "suspect" : to_string(slot->supervisor.state())},
                          {"in_flight", slot->in_flight},
                          {"waiting", slot->waiters.size()},
                          {"requests", slot->requests},
                          {"loads", slot->loads},
                          {"load_ms", slot->load_ms},
                          {"crashes", slot->supervisor.crashes()},
                          {"progress", slot->progress}};
    if (slot->changed) model["files_changed"] = true;
    if (slot->child) model["pid"] = slot->child->pid();
    for (const char* key : {"weight_bytes", "kv_bytes", "context_tokens", "pages", "architecture"})
      if (auto it = slot->ready.find(key); it != slot->ready.end() && slot->child) model[key] = it->value();
    models.push_back(std::move(model));
  }
  return json::object{{"name", options_.name},
                      {"state", stopping_ ? "draining" : "up"},
                      {"memory_budget_bytes", ledger_.budget()},
                      {"memory_reserved_bytes", ledger_.reserved()},
                      {"models", std::move(models)}};
}

// Asks a process how it is, as long as it is there. One that is busy, or was well no longer, is asked each time.
task<void> LocalNode::watch(Slot& slot, int64_t process) {
  asio::steady_timer& timer = slot.asking;
  const auto there = [&] { return slot.child && slot.loads == process; };
  for (int round = 0; there(); ++round) {
    const bool busy = slot.in_flight > 0 || slot.life.state() != Liveness::State::Well;
    const auto client = slot.client;
    timer.expires_after(std::chrono::milliseconds(kAskWorkerMs));
    if (client && slot.supervisor.state() == Supervisor::State::Ready && (busy || round % kAskIdleTimes == 0)) {
      slot.life.asked();
      auto asking = client->status(kAskWorkerMs);
      auto status = co_await std::move(asking);
      if (!there()) co_return;
      if (status) {
        slot.life.heard(protocol::read_progress(*status));
        if (const json::object* own = get_object(*status, "report")) protocol::read_own_report(*own, slot.own);
      }
    }
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!there()) co_return;
    if (ledger_.over() && slot.held > 0) obey(slot, ledger_.adjust(slot.model.id, slot.held, now_ms()));
    judge(slot);
  }
}

void LocalNode::judge(Slot& slot) {
  const Liveness::State state = slot.life.tick(now_ms());
  const bool before = slot.supervisor.suspect();
  apply(slot, Supervisor::Suspected{state != Liveness::State::Well});
  const bool suspect = slot.supervisor.suspect();
  if (suspect != before) {
    if (suspect) log::warn("a model's process does not get on", {{"model", slot.model.id}, {"pid", slot.child->pid()}, {"why", slot.life.why()}});
    else log::info("a model's process gets on again", {{"model", slot.model.id}, {"pid", slot.child->pid()}});
    if (told_) {
      for (const std::string& id : ids_of(slot)) told_(id, suspect);
    }
  }
  if (state != Liveness::State::Hung || slot.supervisor.hung()) return;
  log::error("a model's process hangs and is killed", {{"model", slot.model.id}, {"pid", slot.child->pid()}, {"why", slot.life.why()}});
  apply(slot, Supervisor::Hung{slot.life.why()});
}

// A stand-in answers for other ids than its own.
std::vector<std::string> LocalNode::ids_of(const Slot& slot) const {
  std::vector<std::string> ids{slot.model.id};
  for (const auto& [id, model] : offered_) {
    if (model.id == slot.model.id && id != model.id) ids.push_back(id);
  }
  return ids;
}

bool LocalNode::well() const {
  bool any = false;
  for (const auto& [id, slot] : slots_) {
    if (slot->supervisor.state() != Supervisor::State::Ready) continue;
    if (!slot->supervisor.suspect()) return true;
    any = true;
  }
  return !any;
}

std::vector<protocol::ModelReport> LocalNode::figures() {
  std::vector<protocol::ModelReport> out;
  for (const auto& [id, model] : offered_) {
    protocol::ModelReport one;
    one.id = id;
    one.task = model.task;
    const uint64_t bytes = memory_estimate(model);
    if (bytes > options_.memory_bytes) continue;  // it could never be loaded here
    one.bytes = static_cast<int64_t>(bytes);
    one.load_ms = static_cast<int>(std::min<uint64_t>(600'000, 300 + model.files.bytes / kLoadBytesPerMs));
    const auto found = slots_.find(model.id);
    if (found != slots_.end()) {
      Slot& slot = *found->second;
      const auto state = slot.supervisor.state();
      if (state == Supervisor::State::Quarantined) continue;
      one.loaded = state == Supervisor::State::Ready && slot.client;
      one.loading = state == Supervisor::State::Loading;
      if (slot.load_ms > 0) one.load_ms = static_cast<int>(slot.load_ms);
      if (one.loaded) {
        static_cast<protocol::Load&>(one) = slot.own;
        one.slots = slot.own.slots;
        one.wait_slots = slot.own.wait_slots;
        one.prefill_tokens_per_s = slot.own.prefill_tokens_per_s;
        one.kv_free_tokens = slot.own.kv_free_tokens;
        one.suspect = slot.supervisor.suspect();
        one.build = slot.build;
        one.queued += static_cast<int>(slot.waiters.size());
        one.first_token_ms = slot.pace.first_token_ms();
        one.slot_ms = slot.pace.slot_ms();
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

task<void> LocalNode::stop(int64_t drain_ms) {
  auto self = shared_from_this();
  stopping_ = true;
  next_look_.cancel();
  for (auto& [id, slot] : slots_) apply(*slot, Supervisor::Stop{});
  asio::steady_timer timer(executor_);
  const int64_t end = now_ms() + drain_ms;
  auto running = [&] { return std::any_of(slots_.begin(), slots_.end(), [](auto& s) { return s.second->child != nullptr; }); };
  while (running() && now_ms() < end) {
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

}  // namespace

Result<std::shared_ptr<Node>> Node::make(asio::any_io_executor executor, const catalogue::Catalogue& catalogue, NodeOptions options) {
  if (options.memory_bytes == 0) options.memory_bytes = machine_memory() / 10 * 8;
  if (options.resolve.models_folder.empty()) options.resolve.models_folder = default_models_folder();
  if (options.program.empty()) {
    std::error_code ec;
    options.program = std::filesystem::read_symlink("/proc/self/exe", ec).string();
    if (ec) return fail(Code::Io, "cannot find this program: {}", ec.message());
  }
  VERGE_ASSIGN(sockets, SocketFolder::make());
  auto node = std::make_shared<LocalNode>(std::move(executor), catalogue, std::move(options), std::move(sockets));
  node->start();
  return std::shared_ptr<Node>(std::move(node));
}

}  // namespace verge::node
