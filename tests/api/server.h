// A real server on a free port with the API in it and, below, a Service that the test scripts.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <cstring>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "accounts/accounts.h"
#include "api/api.h"
#include "catalogue/catalogue.h"
#include "http/server.h"
#include "protocol/service.h"
#include "protocol/tasks/automatic_speech_recognition.h"
#include "protocol/tasks/images.h"
#include "protocol/tasks/text_classification.h"
#include "protocol/tasks/text_embeddings.h"
#include "support/log.h"

namespace verge::api::testing {

using protocol::Event;
using protocol::EventSink;

inline protocol::Accepted accepted(int64_t prompt_tokens = 7, int64_t cached = 0) {
  protocol::Accepted out;
  out.prompt_tokens = prompt_tokens;
  out.cached_tokens = cached;
  out.node = "n1";
  out.model = "@verge/stand-in";
  out.substituted = true;
  return out;
}
inline protocol::Token token(int32_t id, std::string text) {
  protocol::Token out;
  out.ids = {id};
  out.text = std::move(text);
  return out;
}
inline Event usage(int64_t prompt, int64_t completion) {
  protocol::Usage out;
  out.prompt_tokens = prompt;
  out.completion_tokens = completion;
  return out;
}
inline Event end(std::string reason = "stop") { return protocol::End{std::move(reason)}; }
inline Event failure(Code code, std::string message, int64_t requested = 0, int64_t limit = 0, int64_t retry_ms = 0) {
  return protocol::Failure{Error{code, std::move(message), requested, limit, retry_ms}};
}

// Runs on the server's thread; requests() is for the test's.
class ScriptedService : public protocol::Service {
 public:
  using Script = std::function<protocol::task<void>(const protocol::Request&, EventSink&)>;

  protocol::task<void> run(protocol::Request request, EventSink& sink) override {
    {
      std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    ++running;
    struct Ended {
      ScriptedService& service;
      ~Ended() {
        --service.running;
        ++service.ended;
        service.ended.notify_all();
      }
    } ended_guard{*this};
    if (script) {
      co_await script(request, sink);
      co_return;
    }
    for (Event& event : plain(request.task))
      if (!co_await sink.put(std::move(event))) co_return;
  }
  // What a model of the task may say.
  static std::vector<Event> plain(std::string_view task = "text-generation") {
    if (task == "text-generation") return {accepted(), token(1, "Hello"), token(2, ""), token(3, " wörld"), usage(7, 3), end()};
    protocol::Result result;
    if (task == "text-embeddings") result = protocol::to_result(protocol::Embeddings{1, 1, {1}, protocol::EmbeddingPooling::Mean, {}});
    if (task == "text-classification") result = protocol::to_result(protocol::Classification{{"x"}, {{1}}});
    if (task == "automatic-speech-recognition") result = protocol::to_result(protocol::Transcript());
    if (task == "image-classification") result = protocol::to_result(protocol::ImageClasses());
    if (task == "object-detection") result = protocol::to_result(protocol::FoundObjects());
    return {accepted(), Event(std::move(result)), usage(7, 3), end()};
  }
  std::vector<protocol::Request> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  void say(std::vector<Event> events) {
    script = [events = std::move(events)](const protocol::Request&, EventSink& sink) -> protocol::task<void> {
      for (Event event : events)
        if (!co_await sink.put(std::move(event))) co_return;
    };
  }
  // Blocks until `count` runs have ended.
  void wait_ended(int count) {
    for (int now = ended; now < count; now = ended) ended.wait(now);
  }

  Script script;
  std::atomic<int> running{0}, ended{0};

 private:
  std::mutex mutex_;
  std::vector<protocol::Request> requests_;
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;  // chunks joined
  bool complete = false;

  std::string header(std::string_view name) const {
    size_t at = 0;
    while ((at = head.find("\r\n", at)) != std::string::npos) {
      at += 2;
      size_t colon = head.find(':', at), stop = head.find("\r\n", at);
      if (colon == std::string::npos || colon > stop) continue;
      if (http::equal_names(std::string_view(head).substr(at, colon - at), name)) return head.substr(colon + 2, stop - colon - 2);
    }
    return "";
  }
  json::value json() const {
    auto value = parse_json(body);
    EXPECT_TRUE(value) << body;
    return value ? *value : json::value();
  }
  // The data of each event of a stream.
  std::vector<std::string> events() const {
    std::vector<std::string> out;
    for (size_t at = 0; at < body.size();) {
      size_t stop = body.find("\n\n", at);
      EXPECT_NE(stop, std::string::npos) << "torn event";
      if (stop == std::string::npos) break;
      std::string event = body.substr(at, stop - at);
      if (event.starts_with("data: ")) out.push_back(event.substr(6));
      else EXPECT_TRUE(event.starts_with(":")) << event;
      at = stop + 2;
    }
    return out;
  }
};

class Connection {
 public:
  explicit Connection(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  // Reads on until `text` was seen.
  bool read_until(std::string_view text) {
    while (all_.find(text) == std::string::npos)
      if (!read_some()) return false;
    return true;
  }
  Answer read_answer() {
    Answer answer;
    if (!read_until("\r\n\r\n")) return answer;
    size_t stop = all_.find("\r\n\r\n");
    answer.head = all_.substr(0, stop + 2);
    answer.status = std::stoi(all_.substr(9, 3));
    all_.erase(0, stop + 4);
    if (std::string length = answer.header("content-length"); !length.empty()) {
      size_t wanted = std::stoul(length);
      while (all_.size() < wanted && read_some()) {}
      answer.body = all_.substr(0, wanted);
      answer.complete = all_.size() >= wanted;
      all_.erase(0, wanted);
    } else if (answer.header("transfer-encoding") == "chunked") {
      answer.complete = read_chunks(answer.body);
    } else {
      answer.complete = true;
    }
    return answer;
  }

 private:
  bool read_some() {
    char buffer[16384];
    ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    all_.append(buffer, static_cast<size_t>(n));
    return true;
  }
  bool read_chunks(std::string& body) {
    while (true) {
      while (all_.find("\r\n") == std::string::npos)
        if (!read_some()) return false;
      size_t line = all_.find("\r\n"), size = std::stoul(all_.substr(0, line), nullptr, 16);
      while (all_.size() < line + 2 + size + 2)
        if (!read_some()) return false;
      body += all_.substr(line + 2, size);
      all_.erase(0, line + 2 + size + 2);
      if (size == 0) return true;
    }
  }
  int fd_;
  std::string all_;
};

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() : catalogue_(std::move(*catalogue::Catalogue::load({}))) { log::configure(log::Level::Off, log::Format::Text, "test"); }
  ~ApiTest() override { stop(); }

  void start(Options options = {}, accounts::Accounts* accounts = nullptr) {
    api_ = std::make_unique<Api>(service_, catalogue_, accounts, std::move(options));
    http::ServerOptions server_options;
    server_options.body_limit = [this](const http::RequestHead& head) { return api_->body_limit(head); };
    server_options.body_coding = [this](const http::RequestHead& head) { return api_->body_coding(head); };
    server_options.error_body = Api::error_body;
    server_ = std::make_unique<http::Server>(
        io_.get_executor(), [this](http::Incoming& in, http::Responder& out) { return api_->handle(in, out); }, server_options);
    auto listening = server_->listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(listening) << listening.error().message;
    thread_ = std::thread([this] { io_.run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    boost::asio::post(io_, [this] { server_.reset(); });
    thread_.join();
  }

  static std::string request(std::string_view method, std::string_view target, std::string_view body, const http::Headers& headers = {}) {
    std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n", method, target);
    for (const http::Header& header : headers) out += header.name + ": " + header.value + "\r\n";
    if (!body.empty() || method == "POST") out += fmt::format("Content-Length: {}\r\n", body.size());
    return out + "\r\n" + std::string(body);
  }
  Answer ask(std::string_view method, std::string_view target, std::string_view body = "", const http::Headers& headers = {}) {
    if (!api_) start();
    Connection connection(server_->port());
    connection.send(request(method, target, body, headers));
    return connection.read_answer();
  }
  Answer post(std::string_view target, std::string_view body, const http::Headers& headers = {}) {
    return ask("POST", target, body, headers);
  }
  Answer get(std::string_view target, const http::Headers& headers = {}) { return ask("GET", target, "", headers); }

  static constexpr const char* kModel = "@cf/meta/llama-3.2-1b-instruct";
  static std::string rest(std::string_view model = kModel) { return fmt::format("/client/v4/accounts/acc/ai/run/{}", model); }
  Answer run(std::string_view body) { return post(rest(), body); }

  boost::asio::io_context io_{1};
  catalogue::Catalogue catalogue_;
  ScriptedService service_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

inline int64_t code_of(const Answer& answer) { return answer.json().at("errors").at(0).at("code").as_int64(); }
inline std::string message_of(const Answer& answer) { return std::string(answer.json().at("errors").at(0).at("message").as_string()); }

}  // namespace verge::api::testing
