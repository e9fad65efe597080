// The worker's own service, run in this process: the code that answers is the server's.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <cstdio>

#include "api/tasks/structured.h"
#include "api/tasks/tools.h"
#include "commands/asker.h"
#include "support/clock.h"
#include "support/spawn.h"
#include "worker/text_service.h"

namespace verge::commands {
namespace asio = boost::asio;
namespace {

class Collector : public protocol::EventSink {
 public:
  Collector(Answer& answer, const std::function<void(std::string_view)>& on_text) : answer_(answer), on_text_(on_text), start_us_(monotonic_us()) {}

  protocol::task<bool> put(protocol::Event event) override {
    if (const auto* accepted = std::get_if<protocol::Accepted>(&event)) {
      answer_.model = accepted->model;
      answer_.first_token_s = seconds();
    } else if (const auto* token = std::get_if<protocol::Token>(&event)) {
      answer_.text += token->text;
      ++answer_.usage.completion_tokens;  // until the exact figure comes
      if (!token->text.empty()) on_text_(token->text);
    } else if (const auto* part = std::get_if<protocol::Part>(&event)) {
      if (const auto delta = protocol::delta_from_json(part->value)) take(*delta);
    } else if (const auto* usage = std::get_if<protocol::Usage>(&event)) {
      answer_.usage = *usage;
    } else if (const auto* end = std::get_if<protocol::End>(&event)) {
      answer_.finish_reason = end->finish_reason;
    } else if (const auto* failure = std::get_if<protocol::Failure>(&event)) {
      error = failure->error;
    }
    answer_.total_s = seconds();
    co_return true;
  }
  std::optional<Error> error;

 private:
  void take(const protocol::Delta& delta) {
    answer_.generated.add(delta);
    if (delta.kind != protocol::Delta::Kind::Text) return;
    answer_.text += delta.text;
    on_text_(delta.text);
  }
  double seconds() const { return static_cast<double>(monotonic_us() - start_us_) / 1e6; }
  Answer& answer_;
  const std::function<void(std::string_view)>& on_text_;
  int64_t start_us_;
};

// A line on stderr, for loads that take long enough to wonder.
std::function<void(double)> show_progress() {
  return [start_ms = monotonic_ms(), shown = -1](double fraction) mutable {
    const int percent = static_cast<int>(fraction * 100);
    if (percent == shown || monotonic_ms() - start_ms < 300) return;
    shown = percent;
    std::fprintf(stderr, "\rloading %3d %%", percent);
  };
}

class LocalAsker : public Asker {
 public:
  LocalAsker(std::unique_ptr<worker::Host> host, const std::string& id) : host_(std::move(host)), service_(io_.get_executor(), *host_, {"local", id, {}}) {}

  Result<Answer> ask(const Question& question, bool interruptible, const std::function<void(std::string_view)>& on_text) override {
    Answer answer;
    Collector collector(answer, on_text);
    VERGE_ASSIGN(asked, request(question));
    asio::cancellation_signal cancel;
    asio::signal_set signals(io_);
    if (interruptible) {
      signals.add(SIGINT);
      signals.async_wait([&](boost::system::error_code ec, int) {
        if (ec) return;
        answer.finish_reason = "interrupted";
        cancel.emit(asio::cancellation_type::terminal);
      });
    }
    spawn(
        io_.get_executor(), "a question", cancel.slot(),
        [&] { return service_.run(std::move(asked), collector); },
        [&](std::exception_ptr) { signals.cancel(); });
    io_.restart();
    run_loop(io_);
    if (collector.error) return *collector.error;
    return answer;
  }

 private:
  static Result<protocol::Request> request(const Question& question) {
    protocol::Request request;
    protocol::TextParameters params;
    std::vector<protocol::Tool>& tools = params.tools.tools;
    for (const json::value& item : question.tools) {
      VERGE_ASSIGN(tool, api::read_tool(item, fmt::format("/{}", tools.size())));
      tools.push_back(std::move(tool));
    }
    if (question.schema) {
      const json::object body{{"response_format", schema_format(*question.schema)}};
      api::Params in(body);
      api::TextRequest read;
      api::read_structured(in, true, read);
      if (!in.ok()) return in.error();
      params.grammar = std::move(read.params.grammar);
    }
    request.id = std::to_string(question.seed);
    request.task = "text-generation";
    request.seed = question.seed;
    if (question.messages.empty()) params.prompt = question.prompt;
    else params.messages = question.messages;
    params.raw = question.raw;
    params.temperature = question.temperature;
    params.max_tokens = question.max_tokens;
    request.params = protocol::to_json(params);
    return request;
  }

  std::unique_ptr<worker::Host> host_;
  asio::io_context io_{1};
  worker::TextService service_;
};

}  // namespace

Result<std::unique_ptr<Asker>> make_local_asker(const LocalOptions& options) {
  worker::HostOptions host;
  host.path = options.path;
  host.threads = options.threads;
  if (options.show_progress) host.progress = show_progress();
  auto opened = worker::open_host(host);
  if (options.show_progress) std::fprintf(stderr, "\r\x1b[K");
  if (!opened) return std::move(opened.error());
  return std::unique_ptr<Asker>(std::make_unique<LocalAsker>(std::move(*opened), options.id));
}

}  // namespace verge::commands
