#include "http/client.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "http/server.h"
#include "tests/http/loop.h"

namespace verge::http {
namespace {

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<Server>(io_.get_executor(), [this](Incoming& in, Responder& out) { return handle(in, out); }, ServerOptions{});
    ASSERT_TRUE(server_->listen_tcp("127.0.0.1", 0));
    endpoint_.host = "127.0.0.1";
    endpoint_.port = server_->port();
  }
  task<void> handle(Incoming& in, Responder& out) {
    last_ = in;
    if (in.path == "/stream") {
      co_await out.start(200, {});
      for (const char* piece : {"one ", "two ", "three"}) {
        co_await out.write(piece);
      }
      co_await out.finish();
    } else if (in.path == "/cut") {
      co_await out.start(200, {});
      co_await out.write("half");
    } else if (in.path == "/wait") {
      struct Note {
        bool& cancelled;
        ~Note() { cancelled = true; }
      } note{cancelled_};
      asio::steady_timer timer(io_, std::chrono::hours(1));
      co_await timer.async_wait(asio::use_awaitable);
    } else {
      co_await out.respond(in.path == "/missing" ? 404 : 200, {{"X-Path", in.path}}, in.body);
    }
  }

  asio::io_context io_{1};
  std::unique_ptr<Server> server_;
  Endpoint endpoint_;
  Incoming last_;
  bool cancelled_ = false;
};

TEST_F(ClientTest, SendsAndReadsOverOneConnection) {
  Client client(io_.get_executor(), endpoint_);
  run_to_end(io_, [&]() -> task<void> {
    for (int i = 0; i < 5; ++i) {
      const std::string body(static_cast<size_t>(i) * 100'000, 'b');
      ClientRequest request{"POST", "/p", {{"X-Q", "1"}}, body};
      auto response = co_await client.send(request);
      EXPECT_TRUE(response) << response.error().message;
      if (!response) co_return;
      EXPECT_EQ(200, (*response)->status);
      EXPECT_EQ("/p", find_header((*response)->headers, "x-path"));
      auto echoed = co_await (*response)->read_all(1 << 20);
      EXPECT_TRUE(echoed && *echoed == body);
      EXPECT_EQ("1", last_.header("x-q"));
      EXPECT_EQ("127.0.0.1:" + std::to_string(endpoint_.port), last_.header("host"));
      EXPECT_EQ(1u, server_->connections());
    }
  });
}

TEST_F(ClientTest, ReadsAStreamPieceByPieceAndReusesTheConnection) {
  Client client(io_.get_executor(), endpoint_);
  run_to_end(io_, [&]() -> task<void> {
    for (int i = 0; i < 3; ++i) {
      ClientRequest request{"GET", "/stream", {}, ""};
      auto response = co_await client.send(request);
      std::string all;
      while (true) {
        auto piece = co_await (*response)->read();
        EXPECT_TRUE(piece);
        if (!piece || piece->empty()) break;
        all += *piece;
      }
      EXPECT_EQ("one two three", all);
      EXPECT_EQ(1u, server_->connections());
    }
  });
}

TEST_F(ClientTest, ACutAnswerIsAnError) {
  Client client(io_.get_executor(), endpoint_);
  run_to_end(io_, [&]() -> task<void> {
    ClientRequest request{"GET", "/cut", {}, ""};
    auto response = co_await client.send(request);
    auto all = co_await (*response)->read_all(1 << 20);
    EXPECT_FALSE(all);
    EXPECT_EQ(Code::Io, all.error().code);
  });
}

TEST_F(ClientTest, BoundsWhatItReads) {
  Client client(io_.get_executor(), endpoint_);
  run_to_end(io_, [&]() -> task<void> {
    ClientRequest request{"POST", "/", {}, std::string(100, 'x')};
    auto response = co_await client.send(request);
    auto all = co_await (*response)->read_all(99);
    EXPECT_EQ(Code::TooLarge, all.error().code);
  });
}

TEST_F(ClientTest, DroppingTheAnswerTellsTheServer) {
  Client client(io_.get_executor(), endpoint_);
  asio::cancellation_signal signal;
  bool ended = false;
  asio::co_spawn(
      io_,
      [&]() -> task<void> {
        ClientRequest request{"GET", "/wait", {}, ""};
        auto response = co_await client.send(request);
        ADD_FAILURE() << "answered";
      },
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
  run_until(io_, [&] { return server_->running() == 1; });
  signal.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return ended && cancelled_ && server_->connections() == 0; });
}

TEST_F(ClientTest, SaysWhatWentWrong) {
  run_to_end(io_, [&]() -> task<void> {
    Endpoint nobody;
    nobody.host = "127.0.0.1";
    nobody.port = 1;
    Client refused(io_.get_executor(), nobody);
    ClientRequest request{"GET", "/", {}, ""};
    auto response = co_await refused.send(request);
    EXPECT_EQ(Code::Io, response.error().code);
    EXPECT_NE(std::string::npos, response.error().message.find("http://127.0.0.1:1")) << response.error().message;

    Endpoint missing;
    missing.unix_path = "/nonexistent/socket";
    Client gone(io_.get_executor(), missing);
    auto second = co_await gone.send(request);
    EXPECT_EQ(Code::Io, second.error().code);

    ClientOptions options;
    options.read_timeout_ms = 20;
    Client impatient(io_.get_executor(), endpoint_, options);
    ClientRequest wait{"GET", "/wait", {}, ""};
    auto third = co_await impatient.send(wait);
    EXPECT_EQ(Code::Timeout, third.error().code);

    Client client(io_.get_executor(), endpoint_);
    ClientRequest inject{"GET", "/", {{"X", "a\r\nY: b"}}, ""};
    auto fourth = co_await client.send(inject);
    EXPECT_EQ(Code::InvalidInput, fourth.error().code);
    ClientRequest split{"GET", "/ HTTP/1.1\r\nX: y", {}, ""};
    auto fifth = co_await client.send(split);
    EXPECT_EQ(Code::InvalidInput, fifth.error().code);
  });
}

// Answers each connection's first request and closes without saying so, as a server that restarts does.
TEST_F(ClientTest, ReplacesAKeptConnectionThatHasClosed) {
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
  int accepted = 0;
  asio::co_spawn(
      io_,
      [&]() -> task<void> {
        while (true) {
          auto socket = co_await acceptor.async_accept(asio::use_awaitable);
          ++accepted;
          char bytes[1000];
          co_await socket.async_read_some(asio::buffer(bytes), asio::use_awaitable);
          const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
          co_await asio::async_write(socket, asio::buffer(answer.data(), answer.size()), asio::use_awaitable);
        }
      },
      [](std::exception_ptr) {});
  endpoint_.port = acceptor.local_endpoint().port();
  Client client(io_.get_executor(), endpoint_);
  run_to_end(io_, [&]() -> task<void> {
    for (int i = 0; i < 3; ++i) {
      ClientRequest request{"GET", "/", {}, ""};
      auto response = co_await client.send(request);
      EXPECT_TRUE(response);
      if (!response) co_return;
      auto all = co_await (*response)->read_all(10);
      EXPECT_TRUE(all && *all == "ok");
    }
  });
  EXPECT_EQ(3, accepted);
  acceptor.close();
  io_.poll();
}

TEST_F(ClientTest, RefusesHostileAnswers) {
  for (const std::string answer : {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "nonsense\r\n\r\n",
                                   "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    asio::ip::tcp::acceptor acceptor(io_, {asio::ip::make_address("127.0.0.1"), 0});
    asio::co_spawn(
        io_,
        [&]() -> task<void> {
          auto socket = co_await acceptor.async_accept(asio::use_awaitable);
          co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
          char bytes[1000];
          co_await socket.async_read_some(asio::buffer(bytes), asio::use_awaitable);
        },
        [](std::exception_ptr) {});
    endpoint_.port = acceptor.local_endpoint().port();
    run_to_end(io_, [&]() -> task<void> {
      Client client(io_.get_executor(), endpoint_);
      ClientRequest request{"GET", "/", {}, ""};
      auto response = co_await client.send(request);
      if (!response) {
        EXPECT_EQ(Code::Io, response.error().code);
      } else {
        auto all = co_await (*response)->read_all(10);
        EXPECT_FALSE(all) << answer;
      }
    });
  }
}

TEST(Endpoint, ParsesAddresses) {
  const auto check = [](const std::string& url, const std::string& host, int port) {
    const auto endpoint = parse_endpoint(url);
    ASSERT_TRUE(endpoint) << url;
    EXPECT_EQ(host, endpoint->host);
    EXPECT_EQ(port, endpoint->port);
  };
  check("http://a.example", "a.example", 80);
  check("http://a.example:8780/", "a.example", 8780);
  check("localhost:1", "localhost", 1);
  check("http://[::1]:8780", "::1", 8780);
  check("https://a", "a", 443);
  EXPECT_EQ("/run/x.sock", parse_endpoint("unix:/run/x.sock")->unix_path);
  EXPECT_EQ("[::1]:8780", parse_endpoint("http://[::1]:8780")->host_header());
  EXPECT_EQ("a", parse_endpoint("http://a")->host_header());
  for (const char* bad : {"", "http://", "http://a/path", "http://a:0", "http://a:99999", "http://a:x", "http://u@a", "unix:", "http://[::1", "a b"})
    EXPECT_FALSE(parse_endpoint(bad)) << bad;
}

}  // namespace
}  // namespace verge::http
