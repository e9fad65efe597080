#include "http/server.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <filesystem>
#include <memory>

#include "tests/http/loop.h"

namespace verge::http {
namespace {

// A server whose routes show what the tests ask about.
class ServerTest : public ::testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    if (!options.body_limit) options.body_limit = [](const RequestHead& head) { return head.path == "/small" ? size_t{10} : size_t{64} << 20; };
    server_ = std::make_unique<Server>(
        io_.get_executor(), [this](Incoming& in, Responder& out) { return handle(in, out); }, std::move(options));
    const auto listening = server_->listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(listening) << listening.error().message;
  }

  task<void> handle(Incoming& in, Responder& out) {
    ++handled_;
    if (!in.coding_error.empty()) {
      co_await out.respond(in.coding_unknown ? 415 : 400, {}, in.coding_error);
    } else if (in.body_too_large) {
      co_await out.respond(413, {{"Content-Type", "application/json"}}, "{\"limit\":" + std::to_string(in.body_limit) + "}");
    } else if (in.path == "/echo" || in.path == "/small") {
      co_await out.respond(200, {{"Content-Type", "application/octet-stream"}}, in.body);
    } else if (in.path == "/throw") {
      throw std::runtime_error("on purpose");
    } else if (in.path == "/nothing") {
      co_return;
    } else if (in.path == "/half") {
      co_await out.start(200, {{"Content-Type", "text/plain"}});
      co_await out.write("half");
    } else if (in.path == "/inject") {
      co_await out.respond(200, {{"X-Bad", "a\r\nSet-Cookie: b"}}, "body");
    } else if (in.path == "/chunks") {
      co_await out.start(200, {{"Content-Type", "text/plain"}});
      co_await out.write("one");
      co_await out.write("");
      co_await out.write("two!");
      co_await out.finish();
    } else if (in.path == "/large") {
      co_await out.respond(200, {}, std::string(8 << 20, 'x'));
    } else if (in.path == "/wait") {
      // Waits for something else than the client, as a request in a queue does.
      struct Note {
        bool& cancelled;
        bool done = false;
        ~Note() { cancelled |= !done; }
      } note{cancelled_};
      asio::steady_timer timer(io_, std::chrono::hours(1));
      release_ = [&timer] { timer.cancel(); };
      boost::system::error_code ec;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      co_await out.respond(200, {}, "waited");  // throws if this was cancelled
      note.done = true;
    } else if (in.path == "/endless") {
      co_await out.start(200, {});
      responder_ = &out;
      const std::string chunk(10'000, 'e');
      while (true) {
        const bool taken = co_await out.write(chunk);
        if (!taken) break;
        written_ += chunk.size();
      }
      write_failed_ = true;
    } else {
      co_await out.respond(200, {{"Content-Type", "text/plain"}}, in.method + " " + in.path + " " + in.remote.substr(0, 10));
    }
  }

  std::string ask(const std::string& wire) {
    RawClient client(io_, server_->port());
    client.send(wire);
    return client.read_to_end();
  }

  asio::io_context io_{1};
  std::unique_ptr<Server> server_;
  int handled_ = 0;
  Responder* responder_ = nullptr;  // of /endless
  bool cancelled_ = false, write_failed_ = false;
  size_t written_ = 0;
  std::function<void()> release_;
};

const std::string kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string kGetClose = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

TEST_F(ServerTest, AnswersWithExactlyTheHeadersOfTheHandler) {
  start();
  const std::string answer = ask(kGetClose);
  EXPECT_EQ(0u, answer.find("HTTP/1.1 200 OK\r\nDate: ")) << answer;
  EXPECT_NE(std::string::npos, answer.find("\r\nContent-Type: text/plain\r\nContent-Length: 17\r\nConnection: close\r\n\r\nGET /a 127.0.0.1:")) << answer;
}

TEST_F(ServerTest, KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
  start();
  RawClient client(io_, server_->port());
  for (int i = 0; i < 3; ++i) {
    client.send(kGet);
    client.read_until("GET /a");
    client.clear();
  }
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_to_end();
  const size_t one = all.find("GET /1"), two = all.find("abc"), three = all.find("GET /2");
  EXPECT_TRUE(one < two && two < three && three != std::string::npos) << all;
  EXPECT_EQ(6, handled_);
}

TEST_F(ServerTest, ReadsBodiesOfAnyFraming) {
  start();
  std::string body;
  for (int i = 0; i < 3'000'000; ++i) body += static_cast<char>('a' + i % 23);
  std::string answer = ask("POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  EXPECT_EQ(body, answer.substr(answer.find("\r\n\r\n") + 4));
  std::string chunked = "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (size_t at = 0; at < body.size(); at += 70'001) {
    const std::string piece = body.substr(at, 70'001);
    char size[20];
    snprintf(size, sizeof size, "%zx\r\n", piece.size());
    chunked += size + piece + "\r\n";
  }
  answer = ask(chunked + "0\r\n\r\n");
  EXPECT_EQ(body, answer.substr(answer.find("\r\n\r\n") + 4));
}

TEST_F(ServerTest, TakesABodyByteByByte) {
  start();
  RawClient client(io_, server_->port());
  for (char c : std::string("POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")) client.send(std::string(1, c)), io_.restart(), io_.poll();
  EXPECT_NE(std::string::npos, client.read_to_end().find("\r\n\r\nhello"));
}

TEST_F(ServerTest, SaysContinueBeforeABodyThatWaitsForIt) {
  start();
  RawClient client(io_, server_->port());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
  EXPECT_EQ("HTTP/1.1 100 Continue\r\n\r\n", client.read_until("\r\n\r\n"));
  client.send("hello");
  EXPECT_NE(std::string::npos, client.read_to_end().find("\r\n\r\nhello"));
}

TEST_F(ServerTest, LetsTheHandlerRefuseALargeBodyUnread) {
  start();
  RawClient client(io_, server_->port());
  // Only the head is sent: the answer must come without the body.
  client.send("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n");
  const std::string answer = client.read_until("{\"limit\":10}");
  EXPECT_EQ(0u, answer.find("HTTP/1.1 413 Content Too Large\r\n")) << answer;
  EXPECT_NE(std::string::npos, answer.find("Connection: close\r\n"));
  EXPECT_EQ(0u, ask("POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n").find("HTTP/1.1 413"));
  // A client that sends it all the same still gets the answer, not a reset.
  const std::string body(4 << 20, 'x');
  EXPECT_EQ(0u, ask("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body).find("HTTP/1.1 413"));
}

TEST_F(ServerTest, RefusesHostileHeadsAndCloses) {
  start();
  for (const char* wire : {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\n\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                           "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    const std::string answer = ask(wire);
    EXPECT_EQ(0u, answer.find("HTTP/1.1 400 Bad Request\r\n")) << answer;
    EXPECT_NE(std::string::npos, answer.find("Connection: close\r\n"));
  }
  EXPECT_EQ(0u, ask("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(40'000, 'a') + "\r\n\r\n").find("HTTP/1.1 431"));
  EXPECT_EQ(0, handled_);
}

TEST_F(ServerTest, TurnsAHandlersFailureIntoA500) {
  start();
  EXPECT_EQ(0u, ask("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n").find("HTTP/1.1 500"));
  EXPECT_EQ(0u, ask("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n").find("HTTP/1.1 500"));
  const std::string injected = ask("GET /inject HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(0u, injected.find("HTTP/1.1 500"));
  EXPECT_EQ(std::string::npos, injected.find("Set-Cookie"));
  const std::string half = ask("GET /half HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(std::string::npos, half.find("0\r\n\r\n")) << "a cut answer must not look complete";
  EXPECT_EQ(0u, ask(kGetClose).find("HTTP/1.1 200"));
}

TEST_F(ServerTest, ErrorBodiesAreTheOwnersShape) {
  ServerOptions options;
  options.error_body = [](int status, std::string_view) { return "{\"s\":" + std::to_string(status) + "}"; };
  start(std::move(options));
  const std::string answer = ask("GET / HTTP/1.1\r\n\r\n");
  EXPECT_NE(std::string::npos, answer.find("Content-Type: application/json\r\n")) << answer;
  EXPECT_NE(std::string::npos, answer.find("{\"s\":400}"));
}

TEST_F(ServerTest, StreamsInChunksAndPlainForOldClients) {
  start();
  std::string answer = ask("GET /chunks HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(std::string::npos, answer.find("Transfer-Encoding: chunked\r\n"));
  EXPECT_NE(std::string::npos, answer.find("\r\n\r\n3\r\none\r\n4\r\ntwo!\r\n0\r\n\r\n")) << answer;
  answer = ask("GET /chunks HTTP/1.0\r\n\r\n");
  EXPECT_NE(std::string::npos, answer.find("\r\n\r\nonetwo!")) << answer;
}

TEST_F(ServerTest, HeadHasTheLengthButNoBody) {
  start();
  const std::string answer = ask("HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(std::string::npos, answer.find("Content-Length: 18\r\n")) << answer;
  EXPECT_EQ(answer.size(), answer.find("\r\n\r\n") + 4);
}

TEST_F(ServerTest, CancelsTheHandlerWhenTheClientLeaves) {
  start();
  RawClient client(io_, server_->port());
  client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until(io_, [&] { return server_->running() == 1; });
  client.close();
  run_until(io_, [&] { return server_->connections() == 0; });
  EXPECT_TRUE(cancelled_);
  EXPECT_EQ(0u, server_->running());
}

TEST_F(ServerTest, APipelinedRequestIsNoDeparture) {
  start();
  RawClient client(io_, server_->port());
  client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until(io_, [&] { return release_ != nullptr; });
  client.send(kGetClose);
  for (int i = 0; i < 5; ++i) io_.restart(), io_.poll();
  EXPECT_FALSE(cancelled_);
  release_();
  const std::string all = client.read_to_end();
  EXPECT_LT(all.find("waited"), all.find("GET /a")) << all;
}

TEST_F(ServerTest, ASlowReaderHoldsUpItsOwnStreamOnlyAndIsCut) {
  ServerOptions options;
  options.write_timeout_ms = 40;
  start(std::move(options));
  RawClient slow(io_, server_->port());
  slow.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until(io_, [&] { return written_ > 0; });
  EXPECT_EQ(0u, ask(kGetClose).find("HTTP/1.1 200"));
  run_until(io_, [&] { return server_->connections() == 0; });
  EXPECT_LT(written_, size_t{16} << 20) << "the writer must wait, not buffer";
}

// Who makes a stream learns within a second or so that nobody reads it, and when somebody does again.
TEST_F(ServerTest, KnowsAReaderThatReadsNothing) {
  start();
  RawClient slow(io_, server_->port());
  slow.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until(io_, [&] { return responder_ && responder_->stalled(); });
  const size_t before = written_;
  EXPECT_LT(before, size_t{16} << 20);
  bool caught_up = false;
  asio::co_spawn(
      io_, [&]() -> task<void> { caught_up = co_await responder_->caught_up(); }, asio::detached);
  char bytes[65536];
  run_until(io_, [&] {
    const bool some = ::recv(slow.fd(), bytes, sizeof bytes, MSG_DONTWAIT) > 0;
    return caught_up && some;
  });
  EXPECT_FALSE(responder_->stalled());
  slow.close();
  run_until(io_, [&] { return write_failed_; });
}

// What is announced costs nothing: only bytes that came count, and the first of each body are free.
TEST_F(ServerTest, AnnouncedBodiesTakeNoRoom) {
  const rlimit before = [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit was = limit;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return was;
  }();
  start();
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 1100; ++i) {
    held.push_back(std::make_unique<RawClient>(io_, server_->port()));
    held.back()->send(i % 2 ? "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\n{"
                            : "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n");
    io_.restart();
    io_.poll();
  }
  RawClient client(io_, server_->port());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\n");
  client.send("hello");
  EXPECT_EQ(0u, client.read_to_end().find("HTTP/1.1 200"));
  held.clear();
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(ServerTest, UnpacksBodiesWhereTheRouteWantsIt) {
  ServerOptions options;
  options.body_coding = [](const RequestHead& head) { return head.path == "/echo" ? header_list(head.headers, "content-encoding") : std::string(); };
  start(std::move(options));
  // Bare deflate of "hello", in one stored block.
  const std::string packed("\x01\x05\x00\xfa\xffhello", 10);
  const auto post = [&](const std::string& path, const std::string& coding, const std::string& body) {
    return ask("POST " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Encoding: " + coding + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  EXPECT_TRUE(post("/echo", "Deflate", packed).ends_with("\r\n\r\nhello"));
  EXPECT_TRUE(post("/small", "deflate", packed).ends_with(packed)) << "as it came";
  EXPECT_EQ(0u, post("/echo", "deflate", packed + "x").find("HTTP/1.1 400"));
  EXPECT_EQ(0u, post("/echo", "lzma", packed).find("HTTP/1.1 415"));
  EXPECT_EQ(0u, ask("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Encoding: lzma\r\nContent-Length: 5\r\n\r\n").find("HTTP/1.1 415"));
}

TEST_F(ServerTest, CutsSlowHeadsAndBodiesAndIdleConnections) {
  ServerOptions options;
  options.header_timeout_ms = options.idle_timeout_ms = options.body_timeout_ms = 30;
  start(std::move(options));
  EXPECT_EQ(0u, ask("GET / HTTP/1.1\r\nHos").find("HTTP/1.1 408"));
  EXPECT_EQ(0u, ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe").find("HTTP/1.1 408"));
  EXPECT_EQ("", ask(""));
}

TEST_F(ServerTest, TurnsAwayWhatIsOverTheConnectionLimit) {
  ServerOptions options;
  options.connections = 2;
  start(std::move(options));
  RawClient a(io_, server_->port()), b(io_, server_->port());
  a.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  b.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until(io_, [&] { return server_->running() == 2; });
  EXPECT_EQ(0u, ask(kGet).find("HTTP/1.1 503"));
  a.close();
  run_until(io_, [&] { return server_->connections() == 1; });
  EXPECT_EQ(0u, ask(kGetClose).find("HTTP/1.1 200"));
}

// One client with many connections, silent ones or heads that never end, shuts nobody out.
TEST_F(ServerTest, ConnectionsWithoutARequestMakeRoom) {
  ServerOptions options;
  options.connections = 20;
  start(std::move(options));
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 60; ++i) {
    held.push_back(std::make_unique<RawClient>(io_, server_->port()));
    if (i % 2) held.back()->send("GET / HTTP/1.1\r\nHos");
    io_.restart();
    io_.poll();
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(0u, ask(kGetClose).find("HTTP/1.1 200"));
  EXPECT_LE(server_->connections(), 21u);
}

TEST_F(ServerTest, SurvivesRunningOutOfDescriptors) {
  start();
  RawClient first(io_, server_->port()), silent(io_, server_->port());
  first.send("GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  run_until(io_, [&] { return server_->running() == 1 && server_->connections() == 2; });
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  RawClient second(io_, server_->port());  // waits in the backlog, with no descriptor for it
  rlimit none{static_cast<rlim_t>(second.fd()) + 1, before.rlim_max};
  for (int fd = 0; fd < second.fd(); ++fd)
    if (::fcntl(fd, F_GETFD) == -1) ::dup2(0, fd);  // no gap below the limit
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
  second.send("GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  run_until(io_, [&] { return server_->running() == 2; });  // the silent one has made room
  EXPECT_EQ("", silent.read_to_end());
  setrlimit(RLIMIT_NOFILE, &before);
  RawClient third(io_, server_->port());
  rlimit still_none{static_cast<rlim_t>(third.fd()) + 1, before.rlim_max};
  for (int fd = 0; fd < third.fd(); ++fd)
    if (::fcntl(fd, F_GETFD) == -1) ::dup2(0, fd);
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &still_none));
  third.send(kGet);
  const std::string answer = third.read_to_end();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(0u, answer.find("HTTP/1.1 503")) << answer;
  second.close();
  run_until(io_, [&] { return server_->running() == 1; });
  first.close();
  run_until(io_, [&] { return server_->running() == 0; });
  EXPECT_EQ(0u, ask(kGetClose).find("HTTP/1.1 200"));
}

TEST_F(ServerTest, DrainLetsRunningRequestsEnd) {
  start();
  RawClient busy(io_, server_->port()), idle(io_, server_->port());
  busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until(io_, [&] { return release_ && server_->connections() == 2; });
  bool drained = false;
  asio::co_spawn(io_, server_->drain(60'000), [&](std::exception_ptr) { drained = true; });
  run_until(io_, [&] { return server_->connections() == 1; });
  EXPECT_EQ("", idle.read_to_end());
  EXPECT_FALSE(drained);
  release_();
  const std::string answer = busy.read_to_end();
  EXPECT_NE(std::string::npos, answer.find("Connection: close\r\n")) << answer;
  EXPECT_NE(std::string::npos, answer.find("waited"));
  run_until(io_, [&] { return drained; });
}

// The drain may come between the arrival of a request's last byte and its handler: no handler then begins that nobody
// would cancel. The loop's other work is put before it in several amounts, so that each order of the two occurs.
TEST_F(ServerTest, DrainAsARequestArrivesLeavesNoHandlerBehind) {
  for (int turns = 0; turns < 6; ++turns) {
    start();
    RawClient client(io_, server_->port());
    run_until(io_, [&] { return server_->connections() == 1; });
    client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < turns; ++i) io_.poll_one();
    run_to_end(io_, [&]() -> task<void> { co_await server_->drain(10); });
    EXPECT_EQ(0u, server_->connections()) << turns;
    EXPECT_EQ(0u, server_->running()) << turns;
  }
}

TEST_F(ServerTest, DrainEndsEvenIfARequestDoesNot) {
  start();
  RawClient busy(io_, server_->port());
  busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until(io_, [&] { return server_->running() == 1; });
  run_to_end(io_, [&]() -> task<void> { co_await server_->drain(10); });
  EXPECT_TRUE(cancelled_);
  EXPECT_EQ(0u, server_->connections());
}

TEST_F(ServerTest, DestructionClosesEverything) {
  start();
  server_.reset();  // the loop has its descriptors now
  io_.poll();
  const size_t before = open_descriptors();
  {
    start();
    RawClient busy(io_, server_->port()), idle(io_, server_->port());
    busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    run_until(io_, [&] { return server_->running() == 1 && server_->connections() == 2; });
    server_.reset();
    EXPECT_EQ("", busy.read_to_end());
  }
  run_until(io_, [&] { return cancelled_; });
  io_.poll();
  EXPECT_EQ(before, open_descriptors());
}

TEST_F(ServerTest, ManyConnectionsThatAbortLeaveNothingBehind) {
  start();
  const std::string paths[] = {"/wait", "/endless", "/a", "/large", "/half"};
  const size_t before = open_descriptors();
  for (int round = 0; round < 200; ++round) {
    RawClient client(io_, server_->port());
    client.send("GET " + paths[round % 5] + " HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < round % 7; ++i) io_.restart(), io_.poll();
  }
  run_until(io_, [&] { return server_->connections() == 0; });
  EXPECT_EQ(0u, server_->running());
  EXPECT_EQ(before, open_descriptors());
}

TEST_F(ServerTest, ServesUnixSocketsAndReplacesStaleOnes) {
  start();
  const std::string path = "/tmp/verge_server_test_" + std::to_string(getpid()) + ".sock";
  ASSERT_TRUE(server_->listen_unix(path));
  EXPECT_EQ(0600, static_cast<int>(std::filesystem::status(path).permissions()) & 0777);
  {
    Server second(io_.get_executor(), [](Incoming&, Responder&) -> task<void> { co_return; });
    EXPECT_FALSE(second.listen_unix(path)) << "a socket that answers belongs to somebody";
  }
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(0, ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
  ::close(fd);
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
  // A socket file that a killed server left behind.
  const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(0, ::bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof address));
  ::close(stale);
  Server third(io_.get_executor(), [](Incoming&, Responder&) -> task<void> { co_return; });
  EXPECT_TRUE(third.listen_unix(path));
  EXPECT_FALSE(third.listen_unix(std::string(200, 'x')));
}

TEST_F(ServerTest, ListensOnIpv6AndSaysWhenItCannot) {
  start();
  EXPECT_FALSE(server_->listen_tcp("not an address", 0));
  EXPECT_FALSE(server_->listen_tcp("127.0.0.1", server_->port())) << "taken";
  EXPECT_FALSE(server_->adopt(::open("/dev/null", O_RDONLY)));
  const auto v6 = server_->listen_tcp("::1", 0);
  if (!v6) GTEST_SKIP() << "no IPv6 here: " << v6.error().message;
}

}  // namespace
}  // namespace verge::http
