// client.cpp and server.cpp against each other over real sockets: what one process puts, the other gets.
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "protocol/client.h"
#include "protocol/frame.h"
#include "protocol/server.h"
#include "tests/http/loop.h"

namespace verge::protocol {
namespace {

// Answers as its task says; notes how its run ended.
class Echo : public Service {
 public:
  explicit Echo(asio::io_context& io) : io_(io) {}
  task<void> run(Request request, EventSink& sink) override {
    struct Note {
      Echo& echo;
      bool finished = false;
      ~Note() { ++(finished ? echo.finished : echo.stopped); }
    } note{*this};
    ++begun;
    last = request;
    co_await sink.put(Accepted{static_cast<int64_t>(request.payload.size()), 0, "here", request.model, false});
    if (request.task == "wait") {
      Event token = Token{{1}, "t", {}};
      co_await sink.put(std::move(token));
      asio::steady_timer timer(io_, std::chrono::hours(1));
      co_await timer.async_wait(asio::use_awaitable);
    }
    if (request.task == "endless") {
      const std::string text(1000, 'x');
      while (true) {
        Event token = Token{{1}, text, {}};
        const bool taken = co_await sink.put(std::move(token));
        if (!taken) co_return;
        ++put;
      }
    }
    for (int i = 0; i < 100; ++i) {
      Event token = Token{{i}, "t" + std::to_string(i), {}};
      const bool taken = co_await sink.put(std::move(token));
      if (!taken) co_return;
    }
    if (request.task == "silent") co_return;
    if (request.task == "fail") co_await sink.put(Failure{fail(Code::Busy, "no")});
    else co_await sink.put(End{"stop"});
    note.finished = true;
  }
  asio::io_context& io_;
  int begun = 0, finished = 0, stopped = 0;
  size_t put = 0;
  Request last;
};

struct Collect : EventSink {
  task<bool> put(Event event) override {
    events.push_back(std::move(event));
    co_return events.size() < room;
  }
  const Error* failure() const {
    const auto* f = events.empty() ? nullptr : std::get_if<Failure>(&events.back());
    return f ? &f->error : nullptr;
  }
  std::vector<Event> events;
  size_t room = SIZE_MAX;
};

class ProtocolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<Server>(io_.get_executor(), echo_, [] { return json::object{{"state", "ready"}}; });
    path_ = "/tmp/verge_protocol_test_" + std::to_string(getpid()) + ".sock";
    ASSERT_TRUE(server_->listen_unix(path_));
    http::Endpoint endpoint;
    endpoint.unix_path = path_;
    client_ = std::make_unique<Client>(io_.get_executor(), endpoint);
  }
  Request request(const std::string& task) {
    Request r;
    r.id = "id", r.model = "m", r.task = task, r.payload = std::string(300'000, 'p');
    return r;
  }
  void run(const std::string& task, Collect& sink) {
    run_to_end(io_, [&]() -> verge::protocol::task<void> { co_await client_->run(request(task), sink); });
  }

  asio::io_context io_{1};
  Echo echo_{io_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
  std::string path_;
};

// Promises: S1.
TEST_F(ProtocolTest, EventsArriveInOrderWithOneEnd) {
  for (int round = 0; round < 3; ++round) {
    Collect sink;
    run("text", sink);
    ASSERT_EQ(102u, sink.events.size());
    EXPECT_EQ(300'000, std::get<Accepted>(sink.events[0]).prompt_tokens);
    for (int i = 0; i < 100; ++i) EXPECT_EQ("t" + std::to_string(i), std::get<Token>(sink.events[static_cast<size_t>(i) + 1]).text);
    EXPECT_EQ("stop", std::get<End>(sink.events.back()).finish_reason);
  }
  EXPECT_EQ(3, echo_.finished);
}

TEST_F(ProtocolTest, FailuresKeepTheirCode) {
  Collect sink;
  run("fail", sink);
  ASSERT_TRUE(sink.failure());
  EXPECT_EQ(Code::Busy, sink.failure()->code);
  Collect silent;
  run("silent", silent);
  ASSERT_TRUE(silent.failure()) << "a service that forgets its end is a failure, not a hang";
  EXPECT_EQ(Code::Internal, silent.failure()->code);
}

// Promises: S2.
TEST_F(ProtocolTest, CancellingTheClientCancelsTheService) {
  asio::cancellation_signal signal;
  Collect sink;
  bool ended = false;
  asio::co_spawn(
      io_, [&]() -> task<void> { co_await client_->run(request("wait"), sink); }, asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
  run_until(io_, [&] { return !sink.events.empty(); });
  EXPECT_TRUE(std::holds_alternative<Accepted>(sink.events[0])) << "Accepted comes with the event that follows it";
  EXPECT_LE(sink.events.size(), 2u);
  signal.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return ended && echo_.stopped == 1 && server_->running() == 0; });
}

TEST_F(ProtocolTest, AReceiverThatIsGoneStopsTheService) {
  Collect sink;
  sink.room = 5;
  run("endless", sink);
  run_until(io_, [&] { return echo_.stopped == 1; });
  EXPECT_EQ(5u, sink.events.size());
}

TEST_F(ProtocolTest, ASlowReceiverHoldsTheServiceBack) {
  struct Stuck : Collect {
    task<bool> put(Event event) override {
      if (events.size() == 3) {
        asio::steady_timer timer(*io, std::chrono::hours(1));
        co_await timer.async_wait(asio::use_awaitable);
      }
      events.push_back(std::move(event));
      co_return true;
    }
    asio::io_context* io = nullptr;
  } sink;
  sink.io = &io_;
  asio::cancellation_signal signal;
  bool ended = false;
  asio::co_spawn(
      io_, [&]() -> task<void> { co_await client_->run(request("endless"), sink); },
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
  size_t last = 0;
  run_until(io_, [&] {
    const bool same = echo_.put > 0 && echo_.put == last && sink.events.size() == 3;
    last = echo_.put;
    return same;
  });
  EXPECT_LT(echo_.put, 2'000u) << "what nobody reads is not made";
  signal.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return ended && echo_.stopped == 1; });
}

TEST_F(ProtocolTest, AWorkerThatDiesIsWorkerGone) {
  Collect sink;
  bool ended = false;
  asio::co_spawn(io_, [&]() -> task<void> { co_await client_->run(request("wait"), sink); }, [&](std::exception_ptr) { ended = true; });
  run_until(io_, [&] { return !sink.events.empty(); });
  server_.reset();
  run_until(io_, [&] { return ended; });
  ASSERT_TRUE(sink.failure());
  EXPECT_EQ(Code::WorkerGone, sink.failure()->code);
  Collect refused;
  run("text", refused);
  ASSERT_TRUE(refused.failure());
  EXPECT_EQ(Code::WorkerGone, refused.failure()->code);
  EXPECT_EQ(1u, refused.events.size());
}

TEST_F(ProtocolTest, StatusIsTheCallbacks) {
  run_to_end(io_, [&]() -> task<void> {
    const auto status = co_await client_->status();
    EXPECT_TRUE(status && get_string(*status, "state") == "ready");
  });
  server_.reset();
  run_to_end(io_, [&]() -> task<void> {
    const auto status = co_await client_->status();
    EXPECT_FALSE(status);
    EXPECT_EQ(Code::WorkerGone, status.error().code);
  });
}

TEST_F(ProtocolTest, HostileBytesAreAnsweredWithAFailure) {
  ASSERT_TRUE(server_->listen_tcp("127.0.0.1", 0));
  RawClient client(io_, server_->port());
  client.send("POST /v1/run HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\n\xff\xff\xff\xff");
  EXPECT_NE(std::string::npos, client.read_to_end().find("\"code\":\"invalid_input\""));
  EXPECT_EQ(0, echo_.begun);
}

}  // namespace
}  // namespace verge::protocol
