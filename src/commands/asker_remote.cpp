// A server, asked over Workers AI's REST route as any client would: server-sent events, Cloudflare's envelope for errors.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "commands/asker.h"
#include "http/client.h"
#include "support/clock.h"
#include "support/spawn.h"

namespace verge::commands {
namespace asio = boost::asio;
namespace {

constexpr size_t kErrorBytes = 1 << 20;
constexpr size_t kLineBytes = 16 << 20;

Error error_of(int status, const std::string& body) {
  std::string message = body.substr(0, 400);
  if (auto parsed = parse_json(body); parsed && parsed->is_object())
    if (const json::array* errors = get_array(parsed->get_object(), "errors"); errors && !errors->empty() && errors->front().is_object())
      message = get_string(errors->front().get_object(), "message").value_or(message);
  const Code code = status == 401 ? Code::Unauthenticated : status == 404 ? Code::NoSuchModel : status == 429 || status == 503 ? Code::Busy : Code::Internal;
  if (code == Code::Unauthenticated) message += " (set VERGE_TOKEN to a token made by 'verge token create')";
  return Error{code, fmt::format("the server answered {}: {}", status, message)};
}

// Takes the data lines out of a stream of server-sent events. False = the stream broke its own rules.
class Lines {
 public:
  template <class F>
  bool feed(std::string_view bytes, F on_data) {
    buffer_ += bytes;
    if (buffer_.size() > kLineBytes) return false;
    size_t start = 0;
    for (size_t end; (end = buffer_.find('\n', start)) != std::string::npos; start = end + 1) {
      std::string_view line = std::string_view(buffer_).substr(start, end - start);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.starts_with("data:")) {
        line.remove_prefix(5);
        if (line.starts_with(' ')) line.remove_prefix(1);
        on_data(line);
      }
    }
    buffer_.erase(0, start);
    return true;
  }

 private:
  std::string buffer_;
};

class RemoteAsker : public Asker {
 public:
  RemoteAsker(http::Endpoint endpoint, std::string model, std::string token)
      : client_(io_.get_executor(), std::move(endpoint)), model_(std::move(model)), token_(std::move(token)) {}

  Result<Answer> ask(const Question& question, bool interruptible, const std::function<void(std::string_view)>& on_text) override {
    Answer answer;
    std::optional<Error> error;
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
    const auto asking = [&]() -> asio::awaitable<void> {
      auto result = co_await stream(question, answer, on_text);
      if (!result) error = result.error();
    };
    spawn(io_.get_executor(), "a question", cancel.slot(), asking, [&](std::exception_ptr failure) {
      signals.cancel();
      client_.close_idle();
      if (failure && answer.finish_reason != "interrupted") error = fail(Code::Io, "the request broke off");
    });
    io_.restart();
    run_loop(io_);
    if (error) return *error;
    return answer;
  }

 private:
  // OpenAI's delta of a call.
  static void take_call(const json::value& value, Answer& answer) {
    const json::object* call = value.if_object();
    const json::object* function = call ? get_object(*call, "function") : nullptr;
    const auto index = call ? get_int(*call, "index") : std::nullopt;
    if (!function || !index || *index < 0) return;
    protocol::Delta delta;
    delta.index = static_cast<size_t>(*index);
    if (auto name = get_string(*function, "name")) {
      delta.kind = protocol::Delta::Kind::Call;
      delta.name = std::move(*name);
      delta.id = get_string(*call, "id").value_or("");
      answer.generated.add(delta);
    }
    delta.kind = protocol::Delta::Kind::Arguments;
    delta.text = get_string(*function, "arguments").value_or("");
    answer.generated.add(delta);
  }

  http::ClientRequest request(const Question& question) const {
    json::object body{{"stream", true}, {"seed", static_cast<int64_t>(question.seed & INT64_MAX)}};
    if (question.messages.empty()) body["prompt"] = question.prompt;
    else body["messages"] = question.messages;
    if (!question.tools.empty()) body["tools"] = question.tools;
    if (question.schema) body["response_format"] = schema_format(*question.schema);
    if (question.raw) body["raw"] = true;
    if (question.temperature) body["temperature"] = *question.temperature;
    if (question.max_tokens) body["max_tokens"] = *question.max_tokens;
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/client/v4/accounts/local/ai/run/" + http::percent_encode(model_, "/@");
    request.headers.push_back({"content-type", "application/json"});
    if (!token_.empty()) request.headers.push_back({"authorization", "Bearer " + token_});
    request.body = json::serialize(body);
    return request;
  }

  http::task<Result<void>> stream(const Question& question, Answer& answer, const std::function<void(std::string_view)>& on_text) {
    const int64_t start_us = monotonic_us();
    const auto seconds = [&] { return static_cast<double>(monotonic_us() - start_us) / 1e6; };
    auto sent = co_await client_.send(request(question));
    if (!sent) co_return sent.error();
    http::ClientResponse& response = **sent;
    if (response.status != 200) {
      auto body = co_await response.read_all(kErrorBytes);
      co_return body ? error_of(response.status, *body) : body.error();
    }
    answer.model = http::find_header(response.headers, "verge-model");
    if (answer.model.empty()) answer.model = model_;
    Lines lines;
    bool done = false;
    std::optional<Error> failed;
    const auto on_data = [&](std::string_view data) {
      if (data == "[DONE]") {
        done = true;
        return;
      }
      auto parsed = parse_json(data);
      const json::object* object = parsed ? parsed->if_object() : nullptr;
      if (!object) return;
      if (const json::array* errors = get_array(*object, "errors"); errors && !errors->empty()) failed = error_of(200, std::string(data));
      if (const json::object* usage = get_object(*object, "usage")) {
        answer.usage.prompt_tokens = get_int(*usage, "prompt_tokens").value_or(0);
        answer.usage.completion_tokens = get_int(*usage, "completion_tokens").value_or(0);
      }
      if (const json::array* calls = get_array(*object, "tool_calls"))
        for (const json::value& call : *calls) take_call(call, answer);
      if (auto reason = get_string(*object, "finish_reason"))
        answer.finish_reason = std::move(*reason);
      const std::string text = get_string(*object, "response").value_or("");
      if (text.empty()) return;
      if (answer.text.empty()) answer.first_token_s = seconds();
      answer.text += text;
      on_text(text);
    };
    for (;;) {
      auto bytes = co_await response.read();
      if (!bytes) co_return bytes.error();
      if (bytes->empty()) break;
      if (!lines.feed(*bytes, on_data)) co_return fail(Code::Internal, "the server sent a line over {} bytes", kLineBytes);
    }
    answer.total_s = seconds();
    if (failed) co_return *failed;
    if (!done) co_return fail(Code::WorkerGone, "the server ended the answer before it was complete");
    co_return Result<void>();
  }

  asio::io_context io_{1};
  http::Client client_;
  std::string model_, token_;
};

}  // namespace

Result<std::unique_ptr<Asker>> make_remote_asker(const std::string& server, const std::string& model, const std::string& token) {
  VERGE_ASSIGN(endpoint, http::parse_endpoint(server));
  return std::unique_ptr<Asker>(std::make_unique<RemoteAsker>(std::move(endpoint), model, token));
}

}  // namespace verge::commands
