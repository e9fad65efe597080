#include "worker/text_service.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>

#include "protocol/progress.h"
#include "protocol/report.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/limits.h"
#include "support/overload_limits.h"
#include "worker/admission.h"
#include "worker/tasks/table.h"
#include "worker/tasks/text_generation.h"

namespace verge::worker {
namespace asio = boost::asio;
using protocol::Event;
using protocol::task;

namespace {

constexpr int64_t kPrepareMs = 10'000;  // of a prompt of ten million bytes, on a slow machine

// About what an event costs while it waits.
size_t event_bytes(const Event& event) {
  if (const auto* part = std::get_if<protocol::Part>(&event)) return 64 + json::serialize(part->value).size();
  const auto* token = std::get_if<protocol::Token>(&event);
  if (!token) return 64;
  size_t bytes = 64 + token->text.size();
  for (const auto& l : token->logprobs) bytes += 64 * (1 + l.top.size());
  return bytes;
}

struct Call {
  explicit Call(const asio::any_io_executor& io) : wake(io) {}
  std::deque<Event> events;
  size_t bytes = 0;
  bool held = false;
  asio::steady_timer wake;  // cancelled when something has changed

  // Until something has changed; false = run() was cancelled.
  task<bool> wait() {
    boost::system::error_code ignored;
    wake.expires_at(asio::steady_timer::time_point::max());
    co_await wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return (co_await asio::this_coro::cancellation_state).cancelled() == asio::cancellation_type::none;
  }
};

}  // namespace

// Lives on the io thread.
struct TextService::Calls {
  explicit Calls(QueueLimits limits) : admission(limits) {}
  std::unordered_map<uint64_t, std::shared_ptr<Call>> open;
  Admission admission;             // of run()s that have not ended
  uint64_t next_id = 1;
  EngineThread* engine = nullptr;  // null once the service goes

  void deliver(std::vector<Output> outputs) {
    for (Output& output : outputs) {
      const auto it = open.find(output.id);
      if (it == open.end()) continue;  // cancelled while the step ran
      Call& call = *it->second;
      if (std::holds_alternative<protocol::Accepted>(output.event)) admission.begun(output.id, monotonic_ms());
      call.bytes += event_bytes(output.event);
      call.events.push_back(std::move(output.event));
      call.wake.cancel();
      if (!call.held && engine && (call.events.size() > limits::kStreamBacklogEvents || call.bytes > limits::kStreamBacklogBytes)) {
        call.held = true;
        engine->hold(output.id, true);
      }
    }
  }

  Event pop(uint64_t id, Call& call) {
    Event event = std::move(call.events.front());
    call.events.pop_front();
    call.bytes -= std::min(call.bytes, event_bytes(event));
    if (call.held && engine && call.events.size() <= limits::kStreamBacklogEvents / 2 && call.bytes <= limits::kStreamBacklogBytes / 2) {
      call.held = false;
      engine->hold(id, false);
    }
    return event;
  }
};

TextService::TextService(asio::any_io_executor io, Host& host, Options options)
    : io_(std::move(io)), host_(&host), node_(options.node), model_(options.model), calls_(std::make_shared<Calls>(options.queue)), grammars_(std::make_shared<Grammars>(host.model)) {
  RunnerOptions runner;
  runner.node = std::move(options.node);
  runner.model = std::move(options.model);
  runner.batch.pages = host.cache->pages;
  runner.batch.queue = options.queue;
  runner.batch.long_text_from = host.model.model->info().long_text_from;
  runner.threads = dynamic_cast<engine::HostThreads*>(host.backend.get());
  engine_ = std::make_unique<EngineThread>(host.model, *host.cache, std::move(runner),
                                           [io = io_, calls = std::weak_ptr<Calls>(calls_)](std::vector<Output> outputs) mutable {
                                             asio::post(io, [calls, outputs = std::move(outputs)]() mutable {
                                               if (auto here = calls.lock()) here->deliver(std::move(outputs));
                                             });
                                           });
  calls_->engine = engine_.get();
  prepare_ = std::make_unique<PrepareThreads>(limits::kPrepareThreads);
}

TextService::TextService(asio::any_io_executor io, std::unique_ptr<Host> host, Options options) : TextService(std::move(io), *host, std::move(options)) {
  own_host_ = std::move(host);
}

TextService::~TextService() {
  calls_->engine = nullptr;
  engine_.reset();
  prepare_.reset();
}

// Nothing of it goes to the engine: it waits for no sequence, and no tokens are read.
task<void> TextService::count_tokens(protocol::TextParameters parameters, std::string tenant, int64_t deadline_ms,
                                     protocol::EventSink& sink) {
  const size_t bytes = prompt_bytes(parameters);
  const uint64_t id = calls_->next_id++;
  if (Result<void> entered = calls_->admission.enter(id, tenant, 1, deadline_ms, monotonic_ms()); !entered) {
    Event failure = protocol::Failure{std::move(entered.error())};
    co_await sink.put(std::move(failure));
    co_return;
  }
  const Finally leave{[calls = calls_, id] { calls->admission.left(id, monotonic_ms()); }};
  const auto params = std::make_shared<const protocol::TextParameters>(std::move(parameters));
  auto counting = prepare_->run<int64_t>(
      tenant, bytes,
      [params, host = host_, grammars = grammars_, now_unix_s = unix_ms() / 1000](const Pool::Abandoned&) {
        return count_prompt_tokens(*params, host->model, *grammars, host->context_tokens, now_unix_s);
      });
  auto tokens = co_await std::move(counting);
  if (!tokens && tokens.error().code == Code::Aborted) co_return;
  std::vector<Event> events;
  if (tokens) {
    events.emplace_back(protocol::Accepted(0, 0, node_, model_, false));
    events.emplace_back(protocol::to_result({"", *tokens}));
    events.emplace_back(protocol::Usage());
    events.emplace_back(protocol::End("stop"));
  } else {
    events.emplace_back(protocol::Failure{tokens.error()});
  }
  for (Event& event : events)
    if (!co_await sink.put(std::move(event))) co_return;
}

// Events are named before they are put: GCC 12 destroys an aggregate made inside a co_await expression twice.
task<void> TextService::run(protocol::Request request, protocol::EventSink& sink) {
  if (draining_) {
    Error error = fail(Code::Busy, "This worker is shutting down. Try again.");
    error.retry_after_ms = 1000;
    Event failure = protocol::Failure{std::move(error)};
    co_await sink.put(std::move(failure));
    co_return;
  }
  if (!request.task.empty() && request.task != "text-generation") {
    Event failure = protocol::Failure{fail(Code::InvalidInput, "This model's task is text-generation, not {}.", request.task)};
    co_await sink.put(std::move(failure));
    co_return;
  }
  const int64_t now_unix_ms = unix_ms(), now_ms = monotonic_ms();
  const int64_t deadline_ms = request.deadline_ms == 0 ? 0 : std::max<int64_t>(1, now_ms + request.deadline_ms - now_unix_ms);
  const uint64_t id = calls_->next_id++;
  auto parameters = protocol::text_parameters(request.params);
  if (!parameters) {
    Event failure = protocol::Failure{std::move(parameters.error())};
    co_await sink.put(std::move(failure));
    co_return;
  }
  request.params = {};
  if (parameters->count_tokens) {
    auto counting = count_tokens(std::move(*parameters), std::move(request.tenant), deadline_ms, sink);
    co_await std::move(counting);
    co_return;
  }
  const size_t input_bytes = prompt_bytes(*parameters);
  // No more than can be begun: what does not fit is refused for that, unread.
  const int64_t cost = std::min<int64_t>(about_tokens(*parameters, input_bytes), host_->context_tokens);
  if (Result<void> entered = calls_->admission.enter(id, request.tenant, cost, deadline_ms, now_ms); !entered) {
    Event failure = protocol::Failure{std::move(entered.error())};
    co_await sink.put(std::move(failure));
    co_return;
  }
  const Finally leave{[calls = calls_, id] { calls->admission.left(id, monotonic_ms()); }};

  const auto call = std::make_shared<Call>(io_);
  const auto params = std::make_shared<const protocol::TextParameters>(std::move(*parameters));
  const auto asked = std::make_shared<const Asked>(std::move(request.id), request.seed, std::move(request.resume_ids));
  auto preparing = prepare_->run<Generation>(
      request.tenant, input_bytes,
      [params, asked, host = host_, grammars = grammars_, now_unix_s = now_unix_ms / 1000](const Pool::Abandoned&) {
        return prepare_generation(*params, *asked, host->model, *grammars, host->context_tokens, now_unix_s);
  });
  auto generation = co_await std::move(preparing);
  if (!generation) {
    if (generation.error().code == Code::Aborted) co_return;
    Event failure = protocol::Failure{generation.error()};
    co_await sink.put(std::move(failure));
    co_return;
  }

  calls_->open.emplace(id, call);
  bool ended = false;
  const Finally close{[&ended, id, calls = calls_] {
    calls->open.erase(id);
    if (!ended && calls->engine) calls->engine->cancel(id);
  }};
  Runner::Job job;
  job.id = id;
  job.generation = std::move(*generation);
  job.tenant = request.tenant;
  job.deadline_ms = deadline_ms;
  job.reject_if_busy = request.reject_if_busy;
  engine_->submit(std::move(job));

  while (!ended) {
    while (call->events.empty())
      if (!co_await call->wait()) co_return;
    Event event = calls_->pop(id, *call);
    ended = protocol::terminal(event);
    if (!co_await sink.put(std::move(event))) co_return;
  }
}

int TextService::active() const { return calls_->admission.here(); }

json::object TextService::ready() const {
  const engine::ModelInfo& info = host_->model.model->info();
  return {{"task", "text-generation"},
          {"context_tokens", host_->context_tokens},
          {"pages", host_->cache->pages},
          {"weight_bytes", info.weight_bytes},
          {"kv_bytes", host_->cache->bytes},
          {"architecture", info.architecture}};
}

json::object TextService::status() const {
  const EngineThread::Status s = engine_->status();
  const Pool::Load prepared = prepare_->load();
  const int64_t now = monotonic_ms();
  protocol::ModelReport report;
  report.loaded = true;
  report.queued = s.waiting;
  report.running = s.running;
  report.queued_tokens = s.unread_tokens;
  report.prefill_tokens_per_s = s.prefill_rows_per_second;
  report.kv_free_tokens = int64_t{s.free_pages + s.cached_pages} * limits::kPageTokens;
  return {{"task", "text-generation"},
          {"report", protocol::to_json(report)},
          {"active", calls_->admission.here()},
          {"running", s.running},
          {"waiting", s.waiting},
          {"waiting_cost", s.unread_tokens},
          {"draining", draining_},
          {"pages", s.pages},
          {"free_pages", s.free_pages},
          {"cached_pages", s.cached_pages},
          {"context_tokens", host_->context_tokens},
          {"steps", s.steps},
          {"tokens", s.tokens},
          {"stepping", s.stepping},
          {"last_step_ms_ago", s.last_step_ms == 0 ? -1 : now - s.last_step_ms},
          {"preemptions", s.preemptions},
          {"prompt_tokens", s.prompt_tokens},
          {"prefix_hit_tokens", s.prefix_hits},
          {"cost_per_second", s.prefill_rows_per_second},
          {"work", protocol::to_json({{"step", s.rounds, s.stepping || s.called, protocol::expected_ms(s.most_rows, s.prefill_rows_per_second, host_->model.model->info().weight_bytes)},
                                      {"prepare", prepared.ended, prepared.running > 0, kPrepareMs}})}};
}

Result<std::unique_ptr<ModelService>> open_text_generation(asio::any_io_executor io, const HostOptions& options, ServiceOptions service) {
  VERGE_ASSIGN(host, open_host(options));
  return std::unique_ptr<ModelService>(std::make_unique<TextService>(std::move(io), std::move(host), std::move(service)));
}

}  // namespace verge::worker
