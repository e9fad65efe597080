#include "commands/run_task.h"

#include <boost/asio/io_context.hpp>

#include <optional>

#include "api/tasks/task.h"
#include "http/client.h"
#include "support/base64.h"
#include "support/random.h"
#include "support/spawn.h"
#include "worker/model_service.h"

namespace verge::commands {
namespace asio = boost::asio;
namespace {

constexpr size_t kAnswerBytes = 256 << 20;

class Collector : public protocol::EventSink {
 public:
  protocol::task<bool> put(protocol::Event event) override {
    if (auto* part = std::get_if<protocol::Part>(&event)) {
      if (on_part) on_part(*part);
      else answer.bytes += part->blob.bytes;
    }
    else if (auto* result = std::get_if<protocol::Result>(&event)) answer.result = std::move(*result);
    else if (const auto* usage = std::get_if<protocol::Usage>(&event)) answer.usage = *usage;
    else if (const auto* failure = std::get_if<protocol::Failure>(&event)) error = failure->error;
    co_return true;
  }
  std::function<void(const protocol::Part&)> on_part;
  api::Answer answer;
  std::optional<Error> error;
};

// The server's error, or what came in its place.
Error refusal(int status, const std::string& body) {
  auto parsed = parse_json(body);
  json::object* object = parsed ? parsed->if_object() : nullptr;
  std::string message = body.substr(0, 400);
  const json::array* errors = object ? get_array(*object, "errors") : nullptr;
  if (errors && !errors->empty() && errors->front().is_object()) message = get_string(errors->front().get_object(), "message").value_or(message);
  return fail(Code::Internal, "the server answered {}: {}", status, message);
}

// The events of a stream to `on_part`; the last one is returned.
http::task<Result<json::value>> exchange_parts(http::Client& client, http::ClientRequest request, const OnPart& on_part) {
  auto sent = co_await client.send(std::move(request));
  if (!sent) co_return sent.error();
  const int status = (*sent)->status;
  if (status != 200) {
    auto body = co_await (*sent)->read_all(kAnswerBytes);
    if (!body) co_return body.error();
    co_return refusal(status, *body);
  }
  std::string text;
  json::value last;
  bool ended = false;
  for (;;) {
    auto read = co_await (*sent)->read();
    if (!read) co_return read.error();
    if (read->empty()) break;
    text += *read;
    if (text.size() > kAnswerBytes) co_return fail(Code::TooLarge, "an event of the server's is over {} bytes", kAnswerBytes);
    for (size_t end; (end = text.find("\n\n")) != text.npos; text.erase(0, end + 2)) {
      const std::string_view event = std::string_view(text).substr(0, end);
      if (!event.starts_with("data: ")) continue;  // a comment
      ended = event.substr(6) == "[DONE]";
      if (ended) continue;
      auto value = parse_json(event.substr(6));
      if (!value || !value->is_object()) co_return fail(Code::Internal, "the server sent {}", event.substr(0, 200));
      const json::object& object = value->get_object();
      if (object.contains("errors")) co_return refusal(status, std::string(event.substr(6)));
      if (object.contains("text")) on_part(object);
      last = std::move(*value);
    }
  }
  if (!ended) co_return fail(Code::Io, "the answer broke off");
  co_return last;
}

http::task<Result<json::value>> exchange(http::Client& client, http::ClientRequest request) {
  auto sent = co_await client.send(std::move(request));
  if (!sent) co_return sent.error();
  const int status = (*sent)->status;
  bool sound = false;
  for (const http::Header& header : (*sent)->headers) sound = sound || (header.name == "content-type" && header.value.starts_with("audio/"));
  auto body = co_await (*sent)->read_all(kAnswerBytes);
  if (!body) co_return body.error();
  if (status == 200 && sound) co_return json::value(json::object{{"audio", base64_encode(*body)}});
  auto parsed = parse_json(*body);
  json::object* object = parsed ? parsed->if_object() : nullptr;
  if (status == 200 && object && object->contains("result")) co_return std::move(object->at("result"));
  co_return refusal(status, *body);
}

// Asio wants what a spawned coroutine returns to have a default.
http::task<void> ask(http::Client& client, http::ClientRequest request, const OnPart& on_part, std::optional<Result<json::value>>& answer) {
  if (on_part) answer.emplace(co_await exchange_parts(client, std::move(request), on_part));
  else answer.emplace(co_await exchange(client, std::move(request)));
}

}  // namespace

Result<json::value> run_task_here(const LocalTask& model, TaskQuestion question, OnPart on_part) {
  const api::TaskHandler* handler = api::find_task_handler(model.entry.task);
  if (!handler) return fail(Code::InvalidInput, "{} is a model for {}, which this command does not run", model.entry.id, model.entry.task);
  if (!question.payload.empty() && !handler->takes_payload)
    return fail(Code::InvalidInput, "{} is a model for {} and takes neither picture nor clip", model.entry.id, model.entry.task);
  if (on_part && handler->part) question.inputs["stream"] = true;
  api::TaskInput input;
  input.json = std::move(question.inputs);
  input.payload = std::move(question.payload);
  VERGE_ASSIGN(parsed, handler->parse(std::move(input), model.entry, model.schema));
  worker::HostOptions host;
  host.path = model.path;
  host.threads = model.threads;
  asio::io_context io(1);
  VERGE_ASSIGN(service, worker::open_service(io.get_executor(), host, {"local", model.entry.id, {}}));
  protocol::Request request;
  request.task = model.entry.task;
  request.params = std::move(parsed.params);
  request.payload = std::move(parsed.payload);
  request.seed = random_u64();
  Collector collector;
  if (on_part && handler->part) {
    collector.on_part = [&](const protocol::Part& part) {
      const json::value heard = handler->part(part);
      if (const json::object* object = heard.if_object()) on_part(*object);
    };
  }
  spawn(io.get_executor(), "the task", [&, request = std::move(request)]() mutable { return service->run(std::move(request), collector); });
  run_loop(io);
  if (collector.error) return *collector.error;
  return handler->answer(collector.answer, parsed.context);
}

Result<json::value> run_task_there(const std::string& server, const std::string& model, const std::string& token, TaskQuestion question, OnPart on_part) {
  if (on_part) question.inputs["stream"] = true;
  VERGE_ASSIGN(endpoint, http::parse_endpoint(server));
  asio::io_context io(1);
  http::Client client(io.get_executor(), std::move(endpoint));
  http::ClientRequest request;
  request.method = "POST";
  request.target = "/client/v4/accounts/local/ai/run/" + http::percent_encode(model, "/@");
  if (!token.empty()) request.headers.push_back({"authorization", "Bearer " + token});
  request.headers.push_back({"content-type", question.payload.empty() ? "application/json" : "application/octet-stream"});
  if (question.payload.empty()) {
    request.body = json::serialize(question.inputs);
  } else {
    request.body = std::move(question.payload);
    std::string query;
    for (const auto& [key, value] : question.inputs)
      query += fmt::format("{}{}={}", query.empty() ? "?" : "&", http::percent_encode(std::string_view(key)),
                           http::percent_encode(value.is_string() ? std::string(value.get_string()) : json::serialize(value)));
    request.target += query;
  }
  std::optional<Result<json::value>> answer;
  spawn(io.get_executor(), "the task", [&, request = std::move(request)]() mutable { return ask(client, std::move(request), on_part, answer); }, [&](std::exception_ptr) { client.close_idle(); });
  run_loop(io);
  if (!answer) return fail(Code::Io, "the request broke off");
  return std::move(*answer);
}

}  // namespace verge::commands
