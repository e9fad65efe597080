// One child coroutine a Request runs Service::run() with a sink of its own; the handler's coroutine
// waits for them, sends keep-alive comments meanwhile, and is the one that is cancelled when the
// client leaves. It never returns before its children have: they use its frame.
//
// Why children and not a plain co_await: a stream that is silent for long needs a second hand that
// writes comments, and several answers to one prompt should share the model's batches.
#include "api/generation.h"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "accounts/meter.h"
#include "api/estimate.h"
#include "api/openai_names.h"
#include "api/sse.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::api {
namespace asio = boost::asio;
namespace {

// State of one generate(); its children refer to it.
struct Run {
  Run(asio::any_io_executor executor, Call& c, AnswerFormat& f, bool s, size_t count)
      : call(c), format(f), stream(s), answers(count), unfinished(count), sse(executor, c.out), wake(executor) {}

  Call& call;
  AnswerFormat& format;
  bool stream;
  std::vector<Answer> answers;
  size_t unfinished;  // answers whose end has not come
  std::string held;   // the last answer's end: goes out with what closes the stream
  std::string node;   // that answered
  SseStream sse;
  asio::steady_timer wake;  // cancelled when something has changed
  size_t left = 0;          // children that still run
  bool closed = false;      // sinks take nothing any more
  bool client_gone = false;
  bool accepted = false;
  std::optional<Error> failure;  // the first

  void fail_with(Error error) {
    if (!failure) failure = std::move(error);
    closed = true;
    wake.cancel();
  }
  http::Headers stream_headers() const {
    http::Headers headers = call.headers;
    if (!format.stream_type().empty()) {
      headers.push_back({"content-type", std::string(format.stream_type())});
      return headers;
    }
    headers.push_back({"content-type", "text/event-stream"});
    headers.push_back({"cache-control", "no-cache"});
    headers.push_back({"x-accel-buffering", "no"});  // nginx would hold events back
    return headers;
  }
};

class Sink : public protocol::EventSink {
 public:
  Sink(Run& run, size_t index) : run_(run), index_(index) {}

  protocol::task<bool> put(protocol::Event event) override {
    if (run_.closed || done_) return ready(false);
    return std::visit([this](auto& kind) { return take(std::move(kind)); }, event);
  }
  bool stalled() const override { return run_.stream && run_.call.out.stalled(); }
  protocol::task<bool> caught_up() override {
    const bool here = co_await run_.call.out.caught_up();
    co_return here && !run_.closed;
  }
  bool done() const { return done_; }

 private:
  Answer& answer() { return run_.answers[index_]; }
  Counters& counters() { return run_.call.context.counters; }

  static protocol::task<bool> ready(bool value) { co_return value; }

  protocol::task<bool> take(protocol::Accepted accepted) {
    answer().usage.prompt_tokens = accepted.prompt_tokens;
    answer().usage.cached_tokens = accepted.cached_tokens;
    run_.format.accepted(index_, answer().usage);
    if (run_.accepted) return ready(true);  // a retry after the first token, or another answer of this call
    run_.accepted = true;
    run_.node = accepted.node;
    run_.call.answered_by = accepted.model.empty() ? run_.call.model : accepted.model;
    counters().queue_time.observe(static_cast<double>(monotonic_us() - run_.call.started_us) / 1e6, {run_.call.model});
    http::Headers& headers = run_.call.headers;
    std::erase_if(headers, [](const http::Header& header) { return header.name == "verge-node"; });
    headers.push_back({"verge-node", accepted.node.empty() ? run_.call.context.options.node : accepted.node});
    headers.push_back({"verge-model", accepted.model.empty() ? run_.call.model : accepted.model});
    if (accepted.substituted || run_.call.substituted) headers.push_back({"verge-substituted", "1"});
    return ready(true);
  }

  // Sends events of a stream, the head before the first of them.
  protocol::task<bool> send(std::string events) {
    bool sent = true;
    if (!run_.sse.started()) {
      http::Headers headers = run_.stream_headers();
      std::string first = run_.format.opening() + events;
      run_.call.status = 200;
      sent = co_await run_.sse.start(std::move(headers), std::move(first));
    } else if (!events.empty()) {
      sent = co_await run_.sse.write(std::move(events));
    }
    if (!sent) {
      run_.client_gone = run_.closed = true;
      run_.wake.cancel();
    }
    co_return sent && !run_.closed;
  }

  protocol::task<bool> take(protocol::Token token) {
    count(token.ids.size());
    answer().usage.completion_tokens += static_cast<int64_t>(token.ids.size());
    // Ids of a thought come in a Token without text, then its piece.
    textless_ids_ = token.text.empty() ? textless_ids_ + static_cast<int64_t>(token.ids.size()) : 0;
    if (run_.stream) return send(run_.format.piece(index_, token));
    if (run_.format.collects()) (void)run_.format.piece(index_, token);
    answer().text += token.text;
    for (protocol::TokenLogprob& logprob : token.logprobs) answer().logprobs.push_back(std::move(logprob));
    return ready(true);
  }

  protocol::task<bool> take(protocol::End end) {
    done_ = true;
    answer().finish_reason = std::move(end.finish_reason);
    const bool last = --run_.unfinished == 0;
    if (!run_.stream && !run_.format.collects()) return ready(true);
    std::string events = run_.format.ending(index_, answer());
    if (!run_.stream) return ready(true);
    if (!last) return send(std::move(events));
    run_.held = std::move(events);
    return ready(true);
  }

  protocol::task<bool> take(protocol::Part part) {
    if (run_.format.takes_deltas()) return take_delta(part.value);
    if (!run_.stream) {
      answer().bytes += part.blob.bytes;
      return ready(true);
    }
    if (run_.call.first_token_us == 0) {
      run_.call.first_token_us = monotonic_us();
      counters().first_token.observe(static_cast<double>(run_.call.first_token_us - run_.call.started_us) / 1e6, {run_.call.model});
    }
    return send(run_.format.part(index_, part));
  }

  protocol::task<bool> take_delta(const json::value& part) {
    const std::optional<protocol::Delta> delta = protocol::delta_from_json(part);
    if (!delta) return ready(true);
    const int64_t ids = std::exchange(textless_ids_, 0);
    if (delta->kind == protocol::Delta::Kind::Reasoning) answer().reasoning_tokens += ids;
    if (delta->kind == protocol::Delta::Kind::Text) answer().text += delta->text;
    else answer().generated.add(*delta);
    if (!run_.stream && !run_.format.collects()) return ready(true);
    std::string events = run_.format.delta(index_, *delta);
    if (!run_.stream) return ready(true);
    return send(std::move(events));
  }

  protocol::task<bool> take(protocol::Result result) {
    answer().result = std::move(result);
    return ready(true);
  }

  protocol::task<bool> take(protocol::Usage usage) {
    answer().usage = usage;
    return ready(true);
  }

  protocol::task<bool> take(protocol::Failure failure) {
    done_ = true;
    run_.fail_with(std::move(failure.error));
    return ready(true);
  }

  void count(size_t tokens) {
    if (tokens == 0) return;
    int64_t now = monotonic_us();
    Call& call = run_.call;
    if (call.first_token_us == 0) {
      call.first_token_us = now;
      counters().first_token.observe(static_cast<double>(now - call.started_us) / 1e6, {call.model});
    } else if (last_token_us_ != 0) {
      double each = static_cast<double>(now - last_token_us_) / 1e6 / static_cast<double>(tokens);
      for (size_t i = 0; i < tokens; ++i) counters().token_interval.observe(each, {call.model});
    }
    last_token_us_ = now;
  }

  Run& run_;
  size_t index_;
  bool done_ = false;
  int64_t last_token_us_ = 0;
  int64_t textless_ids_ = 0;  // since the last piece
};

struct Child {
  Child(Run& run, size_t index) : sink(run, index) {}
  Sink sink;
  asio::cancellation_signal cancel;
};

void start(asio::any_io_executor executor, Run& run, protocol::Service& service, Child& child, protocol::Request request) {
  ++run.left;
  auto ended = [&run, &child](std::exception_ptr exception) {
    --run.left;
    std::string why = "the model ended its answer without saying how";
    try {
      if (exception) std::rethrow_exception(exception);
    } catch (const std::exception& e) { why = e.what(); }
    if (!child.sink.done() && !run.closed) run.fail_with(Error{Code::Internal, std::move(why)});
    run.wake.cancel();
  };
  spawn(executor, "an answer", child.cancel.slot(), [&service, &child, request = std::move(request)]() mutable { return service.run(std::move(request), child.sink); }, std::move(ended));
}

// Waits for the children, whatever happens to this coroutine. False: it was cancelled, the client has left.
class Waiting {
 public:
  Waiting(Run& run, std::vector<std::unique_ptr<Child>>& children) : run_(run), children_(children) {}

  http::task<bool> wait() {
    while (run_.left > 0) {
      const auto state = co_await asio::this_coro::cancellation_state;
      if (!cancelled_ && state.cancelled() != asio::cancellation_type::none) {
        cancelled_ = run_.closed = run_.client_gone = true;
        // From here on this coroutine only waits for the others, whatever else is asked of it.
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      }
      try {
        co_await step();
      } catch (const boost::system::system_error&) {
        run_.client_gone = run_.closed = true;  // cancelled, or a broken connection, while it wrote a comment
      }
    }
    co_return !cancelled_;
  }

 private:
  http::task<void> step() {
    if (run_.closed && !stopped_) {
      stopped_ = true;
      // A sibling in the middle of an event finishes it: an error event must not land inside.
      if (!run_.client_gone) co_await run_.sse.idle();
      for (auto& child : children_) child->cancel.emit(asio::cancellation_type::terminal);
      co_return;
    }
    int64_t silent_ms = run_.sse.started() ? monotonic_ms() - run_.sse.last_write_ms() : 0;
    int64_t limit_ms = run_.call.context.options.keep_alive_ms;
    if (run_.sse.started() && !run_.closed && silent_ms >= limit_ms && !run_.format.stream_type().empty()) {
      silent_ms = 0;  // a file has no place for comments
    }
    if (run_.sse.started() && !run_.closed && silent_ms >= limit_ms) {
      std::string comment(kSseComment);
      const bool sent = co_await run_.sse.write(std::move(comment));
      if (!sent) run_.client_gone = run_.closed = true;
      co_return;
    }
    run_.wake.expires_after(std::chrono::milliseconds(limit_ms - std::min(silent_ms, limit_ms - 1)));
    boost::system::error_code woken;
    co_await run_.wake.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }

  Run& run_;
  std::vector<std::unique_ptr<Child>>& children_;
  bool cancelled_ = false, stopped_ = false;
};

void count_usage(Call& call, const std::vector<Answer>& answers) {
  Counters& counters = call.context.counters;
  for (const Answer& answer : answers) {
    call.prompt_tokens += answer.usage.prompt_tokens;
    call.completion_tokens += answer.usage.completion_tokens;
    counters.prompt_tokens.add(static_cast<double>(answer.usage.prompt_tokens), {call.model});
    counters.cached_tokens.add(static_cast<double>(answer.usage.cached_tokens), {call.model});
    counters.generated_tokens.add(static_cast<double>(answer.usage.completion_tokens), {call.model});
    if (answer.usage.audio_ms <= 0) continue;
    counters.audio_seconds.add(static_cast<double>(answer.usage.audio_ms) / 1e3, {call.model});
    counters.encoder_seconds.add(static_cast<double>(answer.usage.encoder_us) / 1e6, {call.model});
    counters.decoder_seconds.add(static_cast<double>(answer.usage.decoder_us) / 1e6, {call.model});
    counters.real_time_factor.observe(static_cast<double>(monotonic_us() - call.started_us) / 1e3 / static_cast<double>(answer.usage.audio_ms), {call.model});
  }
}

}  // namespace

protocol::Usage total_usage(const std::vector<Answer>& answers, size_t answers_a_prompt) {
  protocol::Usage total;
  for (size_t i = 0; i < answers.size(); ++i) {
    protocol::Usage usage = answers[i].usage;
    if (i % answers_a_prompt != 0) usage.prompt_tokens = usage.cached_tokens = 0;
    total += usage;
  }
  return total;
}

namespace {

http::task<Result<accounts::Charge>> charge_for(Call& call, const std::vector<protocol::Request>& requests) {
  accounts::Claim claim;
  claim.account = call.tenant;
  claim.id = call.id;
  claim.entry = call.context.catalogue.find(requests.front().model);
  claim.model = family_of_openai_name(call.asked);
  claim.estimate = estimate(requests, *claim.entry);
  return call.context.options.meter->admit(std::move(claim));
}

// Of a call that has no answer.
void book_incomplete(Run& run, accounts::Charge& charge, const protocol::Usage& usage) {
  accounts::Meter* meter = run.call.context.options.meter;
  if (!meter || !run.accepted) return;  // the charge gives back what it holds
  if (run.client_gone) meter->book_aborted(charge, usage, run.node, run.call.answered_by);
  else if (run.failure) meter->book_failure(charge, run.failure->code, run.node, run.call.answered_by);
}

http::task<void> close_stream(Run& run) {
  std::string events = run.held + run.format.closing(run.answers);
  if (!run.sse.started()) {
    http::Headers headers = run.stream_headers();
    std::string first = run.format.opening() + std::exchange(events, "");
    run.call.status = 200;
    const bool sent = co_await run.sse.start(std::move(headers), std::move(first));
    if (!sent) { co_return; }
  }
  co_await run.sse.finish(std::move(events));
}

}  // namespace

http::task<void> generate(Call& call, std::vector<protocol::Request> requests, std::unique_ptr<AnswerFormat> format, bool stream) {
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  accounts::Meter* meter = call.context.options.meter;
  accounts::Charge charge;
  if (meter) {
    auto admitted = co_await charge_for(call, requests);
    if (!admitted) {
      co_await respond_error(call, own_failure(admitted.error()));
      co_return;
    }
    charge = std::move(*admitted);
  }
  Run run(executor, call, *format, stream, requests.size());
  std::vector<std::unique_ptr<Child>> children;
  for (size_t i = 0; i < requests.size(); ++i) children.push_back(std::make_unique<Child>(run, i));
  const std::string model = requests.front().model;
  for (size_t i = 0; i < requests.size(); ++i) start(executor, run, call.context.service, *children[i], std::move(requests[i]));
  // A child's first write may already have found the client gone and cancelled this coroutine: a co_await
  // that throws for it would leave the children behind.
  co_await asio::this_coro::throw_if_cancelled(false);
  Waiting waiting(run, children);
  bool waited = co_await waiting.wait();
  co_await asio::this_coro::throw_if_cancelled(true);
  count_usage(call, run.answers);
  const protocol::Usage usage = format->usage(run.answers);
  if (run.failure || run.client_gone) book_incomplete(run, charge, usage);
  if (!waited) throw boost::system::system_error(asio::error::operation_aborted);
  if (run.client_gone) co_return;
  if (run.failure) {
    run.failure = format->named(std::move(*run.failure));
    if (!run.sse.started()) {
      co_await respond_error(call, *run.failure);
      co_return;
    }
    // The status line is out: the error travels inside the stream, which then closes.
    Published published = publish(*run.failure, call.shape, call.id);
    call.error_code = published.code;
    log::error("stream failed",
               {{"id", call.id}, {"model", call.model}, {"code", to_string(run.failure->code)}, {"error", run.failure->message}});
    if (!format->stream_type().empty()) co_return;  // the file ends before its end, and the connection with it
    std::string event = format->failure(published, call.id);
    co_await run.sse.finish(std::move(event));
    co_return;
  }
  if (meter) {
    const catalogue::Entry* entry = call.context.catalogue.find(model);
    call.headers.push_back({"cf-ai-neurons", neurons_text(meter->neurons(*entry, usage))});
    auto booking = meter->book(charge, usage, run.node, call.answered_by);
    co_await std::move(booking);
  }
  const std::optional<Error> unmet = format->unmet(run.answers);
  if (unmet && !run.sse.started()) {
    co_await respond_error(call, *unmet);
  } else if (unmet) {
    Published published = publish(*unmet, call.shape, call.id);
    call.error_code = published.code;
    std::string event = format->failure(published, call.id);
    co_await run.sse.finish(std::move(event));
  } else if (stream) {
    auto keeping = format->keep(run.answers);
    co_await std::move(keeping);
    co_await close_stream(run);
  } else {
    auto keeping = format->keep(run.answers);
    co_await std::move(keeping);
    json::value body = format->whole(run.answers);
    if (format->text_type().empty() || !body.is_string()) {
      co_await respond_json(call, body);
      co_return;
    }
    http::Headers headers{http::Header("content-type", std::string(format->text_type()))};
    std::string text(body.get_string());
    co_await respond(call, 200, std::move(headers), std::move(text));
  }
}

}  // namespace verge::api
