// A client that leaves, at every point of every route. The loop runs one handler at a time, and between two of them every coroutine
// waits: after the n-th handler the client leaves, for all n until the answer is whole. Nothing may leave the loop (the test would end),
// nothing may stay behind, and the next request is answered.
//
// All is the product's own: server, API, meter and ledger, router, the peer of a cluster and its server, worker services on small models.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "accounts/accounts.h"
#include "accounts/local_lease_store.h"
#include "accounts/meter.h"
#include "accounts/response_store.h"
#include "api/api.h"
#include "api/page.h"
#include "api/routes.h"
#include "catalogue/catalogue.h"
#include "cluster/peer.h"
#include "server/converter.h"
#include "http/server.h"
#include "protocol/server.h"
#include "protocol/tasks/text_to_speech.h"
#include "router/registry.h"
#include "router/router.h"
#include "support/finally.h"
#include "support/log.h"
#include "support/uuid.h"
#include "tests/paths.h"
#include "worker/model_service.h"

namespace verge::commands {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using protocol::task;

const std::string kText = "@t/text", kFar = "@t/far", kEmbedder = "@t/embedder", kPictures = "@t/pictures", kSpeech = "@t/speech", kVoice = "@t/voice";

// Says two parts of a transcript, then all of it.
class Speech : public protocol::Service {
 public:
  task<void> run(protocol::Request, protocol::EventSink& sink) override {
    std::vector<protocol::Event> events;
    events.emplace_back(protocol::Accepted(0, 0, "n1", kSpeech, false));
    const json::value part = json::parse(R"({"segments":[{"start":0,"end":1,"text":"Hi.","words":[]}],"text":"Hi."})");
    events.emplace_back(protocol::Part(part));
    events.emplace_back(protocol::Part(part));
    events.emplace_back(protocol::Result(json::parse(R"({"text":"Hi. Hi.","language":"en","duration":2,"segments":[]})")));
    events.emplace_back(protocol::Usage());
    events.emplace_back(protocol::End("stop"));
    for (protocol::Event& event : events) {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      if (!co_await sink.put(std::move(event))) { co_return; }
    }
  }
};

// Speaks in two pieces.
class Voice : public protocol::Service {
 public:
  task<void> run(protocol::Request, protocol::EventSink& sink) override {
    std::vector<protocol::Event> events;
    events.emplace_back(protocol::Accepted(0, 0, "n1", kVoice, false));
    events.emplace_back(protocol::Part(json::object(), protocol::Blob{"audio/mpeg", "ab"}));
    events.emplace_back(protocol::Part(json::object(), protocol::Blob{"", "cd"}));
    events.emplace_back(protocol::to_result(protocol::Spoken{1, 2}));
    events.emplace_back(protocol::Usage());
    events.emplace_back(protocol::End("stop"));
    for (protocol::Event& event : events) {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      if (!co_await sink.put(std::move(event))) { co_return; }
    }
  }
};

// A node: hands each request to the service of its model.
class Models : public protocol::Service {
 public:
  task<void> run(protocol::Request request, protocol::EventSink& sink) override {
    protocol::Service& service = *services.at(request.model);
    return service.run(std::move(request), sink);
  }
  std::map<std::string, protocol::Service*> services;
};

struct Ask {
  std::string method, target, body;
  http::Headers headers;
  bool good = true;  // its answer is 200, or leads to one; else some refusal
};

class LeavingTest : public ::testing::Test {
 protected:
  LeavingTest() {
    log::configure(log::Level::Off, log::Format::Text, "test");
    const std::string models = std::string(test_data_folder()) + "/models";
    open(kText, "text-generation", models + "/stories260K/stories260K-f32.gguf");
    open(kEmbedder, "text-embeddings", models + "/tiny-embedder");
    open(kPictures, "image-classification", models + "/resnet20-cifar10");
    add(kSpeech, "automatic-speech-recognition", speech_);
    add(kVoice, "text-to-speech", voice_);
    // The same text model once more, behind the sockets of a cluster.
    add(kFar, "text-generation", *opened_.front());
    far_server_ = std::make_unique<protocol::Server>(io_.get_executor(), here_, [] { return json::object(); });
    EXPECT_TRUE(far_server_->listen_tcp("127.0.0.1", 0));
    http::Endpoint far;
    far.host = "127.0.0.1";
    far.port = far_server_->port();
    peer_ = std::make_unique<cluster::Peer>(io_.get_executor(), "far", far);
    near_.services = here_.services;
    near_.services[kFar] = peer_.get();
    router_.add_node("n1", near_);

    std::ofstream(folder_ / "program") << "#!/bin/sh\nexec cat\n";
    chmod((folder_ / "program").c_str(), 0755);
    converter_ = std::make_unique<server::Converter>((folder_ / "program").string());
    meter_ = std::make_unique<accounts::Meter>(io_.get_executor(), accounts_, catalogue_, leases_, ledger_.get(), metrics_, accounts::MeterOptions{true, 5});
    accounts::Settings plenty;
    plenty.daily_neurons = int64_t{1} << 50;  // a limit, so that there are leases
    plenty.rates["text-generation"] = plenty.rates["text-embeddings"] = plenty.rates["image-classification"] = plenty.rates["automatic-speech-recognition"] = plenty.rates["text-to-speech"] = 1'000'000;
    EXPECT_TRUE(accounts_.set("acc", plenty, 1));
    EXPECT_TRUE(accounts_.set("default", plenty, 1));

    api::Options options;
    options.meter = meter_.get();
    options.metrics = &metrics_;
    options.markdown_kind = [](std::string_view, std::string_view) { return "text"; };
    options.convert = [this](std::string kind, std::string media_type, std::string bytes) {
      return converter_->convert(std::move(kind), std::move(media_type), std::move(bytes));
    };
    options.wishes = [this]() -> http::task<Result<json::value>> {
      co_await asio::post(io_, asio::use_awaitable);
      co_return json::value(json::array());
    };
    options.wish = [this](std::string, json::object) -> http::task<Result<void>> {
      co_await asio::post(io_, asio::use_awaitable);
      co_return Result<void>();
    };
    options.keep_alive_ms = 1;
    auto kept = accounts::ResponseStore::open(folder_.string(), {});
    EXPECT_TRUE(kept);
    responses_ = std::move(*kept);
    options.responses = responses_.get();
    api_ = std::make_unique<api::Api>(router_, catalogue_, &accounts_, std::move(options));
  }
  ~LeavingTest() override {
    converter_.reset();
    far_server_.reset();
    settle();
    fs::remove_all(folder_);
  }

  void add(const std::string& id, const char* task, protocol::Service& service) {
    catalogue::Entry entry;
    entry.id = id;
    entry.task = task;
    catalogue_.add(std::move(entry));
    here_.services[id] = &service;
  }
  void open(const std::string& id, const char* task, const std::string& path) {
    worker::HostOptions host;
    host.path = path;
    host.threads = 1;
    auto service = worker::open_service(io_.get_executor(), host, {"n1", id, {}});
    ASSERT_TRUE(service) << service.error().message;
    opened_.push_back(std::move(*service));
    add(id, task, *opened_.back());
  }

  // One handler.
  void step() { io_.run_one(); }
  void settle() {
    const auto busy = [&] {
      return handlers_ > 0 || peer_->busy() || std::ranges::any_of(opened_, [](const auto& one) { return one->active() > 0; });
    };
    while (busy()) step();
  }

  enum class How { CancelledByTheServer, ClosedByTheClient, ResetByTheClient };

  // False: the answer was whole before the n-th handler.
  bool leave_after(const Ask& ask, int n, How how) {
    http::ServerOptions options;
    options.body_limit = [this](const http::RequestHead& head) { return api_->body_limit(head); };
    options.error_body = api::Api::error_body;
    int ended = 0;
    auto server = std::make_unique<http::Server>(
        io_.get_executor(),
        [this, &ended](http::Incoming& in, http::Responder& out) -> http::task<void> {
          ++handlers_;
          const Finally leave{[&] {
            --handlers_;
            ++ended;
          }};
          co_await api_->handle(in, out);
        },
        options);
    EXPECT_TRUE(server->listen_tcp("127.0.0.1", 0));
    int fd = connect_to(server->port());
    send_all(fd, ask);
    bool left = false;
    for (int i = 0; ended == 0; ++i) {
      char bytes[16 << 10];
      for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) received_ += std::string(bytes, static_cast<size_t>(n));
      if (i == n) {
        left = true;
        if (how == How::CancelledByTheServer) server.reset();
        if (how == How::ResetByTheClient) {
          const linger now{1, 0};
          setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        if (how != How::CancelledByTheServer) {
          close(fd);
          fd = -1;
        }
        break;
      }
      step();
    }
    settle();
    if (fd >= 0) {
      char bytes[16 << 10];
      for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) received_ += std::string(bytes, static_cast<size_t>(n));
      close(fd);
    }
    while (server && server->connections() > 0) step();
    return left;
  }

  static int connect_to(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    return fd;
  }
  static void send_all(int fd, const Ask& ask) {
    std::string text = ask.method + " " + ask.target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    for (const http::Header& header : ask.headers) text += header.name + ": " + header.value + "\r\n";
    text += fmt::format("Content-Length: {}\r\n\r\n{}", ask.body.size(), ask.body);
    EXPECT_EQ(static_cast<ssize_t>(text.size()), ::send(fd, text.data(), text.size(), MSG_NOSIGNAL));
  }

  // At all points, in all ways; then once to the end.
  void leave_everywhere(const Ask& ask) {
    SCOPED_TRACE(ask.method + " " + ask.target + " " + ask.body.substr(0, 80));
    int points = 0;
    for (const How how : {How::CancelledByTheServer, How::ClosedByTheClient, How::ResetByTheClient}) {
      int n = 0;
      while (leave_after(ask, n, how)) ++n;
      points = std::max(points, n);
    }
    EXPECT_GE(points, 2);
    received_.clear();
    EXPECT_FALSE(leave_after(ask, 1 << 30, How::ClosedByTheClient));
    const std::string_view answer(received_);
    const bool good = answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 308");
    EXPECT_TRUE(ask.good ? good : answer.starts_with("HTTP/1.1 4")) << received_.substr(0, 1000);
  }

  static fs::path make_folder() {
    const fs::path folder = fs::temp_directory_path() / ("verge-leaving-" + uuid_v4());
    fs::create_directory(folder);
    return folder;
  }

  asio::io_context io_{1};
  const fs::path folder_ = make_folder();
  catalogue::Catalogue catalogue_ = std::move(*catalogue::Catalogue::load({}));
  accounts::Accounts accounts_ = std::move(*accounts::Accounts::open(folder_.string()));
  metrics::Registry metrics_;
  std::unique_ptr<accounts::Ledger> ledger_ = std::move(*accounts::Ledger::open(io_.get_executor(), folder_.string(), {"n1", false}));
  accounts::LocalLeaseStore leases_{[this](const std::string& account, int64_t day) { return ledger_->neurons_of(account, day); }};
  Speech speech_;
  Voice voice_;
  std::vector<std::unique_ptr<worker::ModelService>> opened_;
  Models here_, near_;
  std::unique_ptr<protocol::Server> far_server_;
  std::unique_ptr<cluster::Peer> peer_;
  router::Router router_{io_.get_executor(), &metrics_};
  std::unique_ptr<server::Converter> converter_;
  std::unique_ptr<accounts::Meter> meter_;
  std::unique_ptr<accounts::ResponseStore> responses_;
  std::unique_ptr<api::Api> api_;
  int handlers_ = 0;
  std::string received_;  // what the client has received
};

// Requests for a route, by what its path ends with; {account} and {model...} are filled in.
std::vector<Ask> asks_for(const api::Route& route) {
  const std::string pattern(route.pattern);
  const http::Headers json{http::Header("content-type", "application/json")};
  const auto fill = [&](const std::string& model) {
    std::string path = pattern;
    for (const auto& [hole, value] : {std::pair<std::string, std::string>{"{account}", "acc"}, {"{model...}", model}})
      if (const size_t at = path.find(hole); at != std::string::npos) path.replace(at, hole.size(), value);
    return path;
  };
  std::vector<Ask> out;
  const auto post = [&](const std::string& model, const std::string& body, http::Headers headers) { out.push_back({std::string(route.method), fill(model), body, std::move(headers)}); };
  const std::string limits = R"("max_tokens":3)";
  if (pattern.ends_with("/chat/completions")) {
    for (const std::string& model : {kText, kFar}) {
      post(model, R"({"model":")" + model + R"(","messages":[{"role":"user","content":"Hi"}],)" + limits + "}", json);
      post(model, R"({"model":")" + model + R"(","messages":[{"role":"user","content":"Hi"}],"stream":true,"n":2,)" + limits + "}", json);
    }
  } else if (pattern.ends_with("/v1/responses")) {
    for (const char* stream : {"false", "true"})
      post(kText, fmt::format(R"({{"model":"@t/text","input":"Hi","max_output_tokens":16,"stream":{}}})", stream), json);
  } else if (pattern.ends_with("/v1/messages")) {
    for (const char* stream : {"false", "true"})
      post(kText, fmt::format(R"({{"model":"@t/text","messages":[{{"role":"user","content":"Hi"}}],"stream":{},{}}})", stream, limits), json);
  } else if (pattern.ends_with("/messages/count_tokens")) {
    post(kText, R"({"model":"@t/text","messages":[{"role":"user","content":"Hi"}]})", json);
  } else if (pattern.ends_with("/completions")) {
    post(kText, R"({"model":"@t/text","prompt":"Hi",)" + limits + "}", json);
    post(kText, R"({"model":"@t/text","prompt":"Hi","stream":true,)" + limits + "}", json);
  } else if (pattern.ends_with("/responses/input_tokens")) {
    post(kText, R"({"model":"@t/text","input":"Hi"})", json);
  } else if (pattern.ends_with("/audio/speech")) {
    for (const char* form : {"audio", "sse"})
      post(kVoice, fmt::format(R"({{"model":"@t/voice","input":"Hi","voice":"alloy","stream_format":"{}"}})", form), json);
  } else if (pattern.find("/audio/") != std::string::npos) {
    for (const std::string stream : {"false", "true"}) {
      std::string body;
      for (const auto& [name, value] : {std::pair<std::string, std::string>{"model", kSpeech}, {"stream", stream}})
        body += "--b0\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
      body += "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--b0--\r\n";
      post(kSpeech, body, {http::Header("content-type", "multipart/form-data; boundary=b0")});
    }
  } else if (pattern.ends_with("/embeddings")) {
    post(kEmbedder, R"({"model":"@t/embedder","input":["a","b"]})", json);
  } else if (pattern.ends_with("/ai/run/{model...}") && route.method == "POST") {
    post(kText, R"({"prompt":"Hi",)" + limits + "}", json);
    post(kFar, R"({"prompt":"Hi","stream":true,)" + limits + "}", json);
    post(kEmbedder, R"({"text":["a","b"]})", json);
    post(kSpeech, "RIFF", {http::Header("content-type", "application/octet-stream")});
    post(kVoice, R"({"text":"Hi"})", json);
    std::ifstream picture(std::string(test_data_folder()) + "/images/444.jpg", std::ios::binary);
    post(kPictures, std::string(std::istreambuf_iterator<char>(picture), {}), {http::Header("content-type", "application/octet-stream")});
  } else if (pattern.ends_with("/run") && route.method == "POST" && pattern.find("/accounts/") == std::string::npos) {
    const http::Headers binding{http::Header("content-type", "application/json"), http::Header("cf-consn-sdk-version", "2.0.0"), http::Header("cf-consn-model-id", kText)};
    post(kText, R"({"inputs":{"prompt":"Hi",)" + limits + R"(},"options":{}})", binding);
    post(kText, R"({"inputs":{"prompt":"Hi","stream":true,)" + limits + R"(},"options":{}})", binding);
  } else if (pattern.ends_with("/markdown/transformer")) {
    const std::string file = R"({"name":"a.txt","mimeType":"text/plain","data":"aGVsbG8="})";
    post(kText, R"({"files":[)" + file + "," + file + "]}", json);
  } else if (pattern.ends_with("/ai/tomarkdown")) {
    std::string body;
    for (const char* name : {"a.txt", "b.html"})
      body += fmt::format(
          "--b0\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{}\"\r\n\r\nHi.\r\n", name);
    const http::Headers form{http::Header("content-type", "multipart/form-data; boundary=b0")};
    post(kText, body + "--b0--\r\n", form);
  } else if (route.method == "PUT") {
    post(kText, R"({"min":1})", json);
  } else {
    post(kText, route.method == "POST" ? "{}" : "", json);
    // What is not served, or lacks what it needs.
    for (const char* refused : {"/ai/run", "/ai/models/schema", "/responses/compact", "/verge/page/{file...}", "/verge/docs/{file...}"}) out.back().good &= !pattern.ends_with(refused);
    for (const char* page : {"/", "/verge", "/verge/docs"})
      out.back().good &= pattern != page || !api::page_files().empty();
    out.back().good &= pattern.find("/responses/{id}") == std::string::npos;
    out.back().good &= !(route.method == "GET" && (pattern == "/run" || pattern.ends_with("/ai/run/{model...}")));
  }
  return out;
}

TEST_F(LeavingTest, AnyClientOfAnyRouteAtAnyTime) {
  for (const api::Route& route : api::routes()) {
    // The two prefixes of the OpenAI routes are one handler.
    if (std::string_view(route.pattern).starts_with("/client/v4/accounts/{account}/ai/v1/")) continue;
    for (const Ask& ask : asks_for(route)) leave_everywhere(ask);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace verge::commands
