// Whole servers in this process: what each leaves behind is counted.
#include "server/server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <thread>

#include "server/hangups.h"
#include "support/uuid.h"
#include "tests/paths.h"

namespace verge::server {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

constexpr const char* kModel = "@t/stories";

size_t entries(const char* folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++count;
  return count;
}

size_t children() {
  size_t count = 0;
  for (const auto& thread : fs::directory_iterator("/proc/self/task")) {
    std::ifstream file(thread.path() / "children");
    for (int pid; file >> pid;) ++count;
  }
  return count;
}

// Descriptors that are open, one line each: what a failure names.
std::multiset<std::string> descriptors() {
  std::multiset<std::string> out;
  for (const auto& one : fs::directory_iterator("/proc/self/fd")) {
    std::error_code ec;
    const std::string to = fs::read_symlink(one.path(), ec).string();
    if (!ec) out.insert(to.substr(0, to.find('[')));
  }
  return out;
}

struct Left {
  size_t threads = entries("/proc/self/task");
  size_t processes = children();
  std::multiset<std::string> files = descriptors();
  bool operator==(const Left&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Left& left) {
  out << left.threads << " threads, " << left.processes << " processes;";
  for (const std::string& file : left.files) out << " " << file;
  return out;
}

struct ServerTest : ::testing::Test {
  static void SetUpTestSuite() { catch_hangups(); }

  ServerTest() : folder(fs::temp_directory_path() / ("verge-server-" + uuid_v4())) {
    fs::create_directory(folder);
    ::setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);  // for the sockets of models
  }
  ~ServerTest() override { fs::remove_all(folder); }

  Options options() const {
    Options out;
    out.listen = "127.0.0.1:0";
    out.data = (folder / "data").string();
    out.program = (fs::read_symlink("/proc/self/exe").parent_path() / "verge").string();
    out.models = {std::string(kModel) + "=" + test_data_folder() +
                  "/models/stories260K/stories260K-f32.gguf"};
    out.drain_delay_s = 0;
    return out;
  }

  // Sockets of models that nobody removed.
  size_t sockets() const { return entries(folder.c_str()) - (fs::exists(folder / "data") ? 1 : 0); }

  fs::path folder;
};

// A server that runs on a thread of its own.
class Running {
 public:
  explicit Running(Options options) {
    auto made = Server::make(std::move(options));
    if (!made) throw std::runtime_error(made.error().message);
    server_ = std::move(*made);
    auto started = server_->start();
    if (!started) throw std::runtime_error(started.error().message);
    status_ = std::async(std::launch::async, [this] { return server_->run(); });
  }
  Server& operator*() { return *server_; }
  Server* operator->() { return server_.get(); }
  Result<int> ended() { return status_.get(); }

 private:
  std::unique_ptr<Server> server_;
  std::future<Result<int>> status_;
};

// A connection of a client that sends one request.
class Client {
 public:
  Client(uint16_t port, const std::string& method, const std::string& path, const std::string& body) : socket_(io_) {
    socket_.connect({asio::ip::make_address("127.0.0.1"), port});
    std::ostringstream request;
    request << method << " " << path << " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            << "Content-Type: application/json\r\nContent-Length: " << body.size() << "\r\n\r\n"
            << body;
    asio::write(socket_, asio::buffer(request.str()));
  }
  // Until `bytes` have come, or the end.
  std::string read(size_t bytes) {
    std::string out(bytes, '\0');
    boost::system::error_code end;
    out.resize(asio::read(socket_, asio::buffer(out), end));
    return out;
  }
  std::string all() { return read(16 << 20); }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_;
};

std::string story(bool stream) {
  return std::string("{\"prompt\":\"Once\",\"raw\":true,\"max_tokens\":400,\"temperature\":0.9,") +
         "\"stream\":" + (stream ? "true" : "false") + "}";
}
const std::string kRun = std::string("/client/v4/accounts/test/ai/run/") + kModel;

// Promises: SV2, SV3.
TEST_F(ServerTest, TwoOneAfterTheOtherLeaveNothing) {
  const Left before;
  for (int round = 0; round < 2; ++round) {
    {
      Running server(options());
      const std::string answer = Client(server->port(), "POST", kRun, story(false)).all();
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
      // It is in the middle of its answer when the end begins, and has all of it.
      Client streaming(server->port(), "POST", kRun, story(true));
      std::string text = streaming.read(600);
      server->drain();
      text += streaming.all();
      EXPECT_NE(text.find("data: [DONE]"), text.npos) << text;
      const auto status = server.ended();
      ASSERT_TRUE(status);
      EXPECT_EQ(*status, 0);
      EXPECT_FALSE(Left() == before) << "nothing is counted of a server that is there";
    }
    EXPECT_EQ(Left(), before);
    EXPECT_EQ(sockets(), 0u);
  }
}

// Promises: SV2, SV3.
TEST_F(ServerTest, AStopCutsWhatADrainWaitsFor) {
  const Left before;
  {
    Options with = options();
    with.drain_delay_s = 3600;
    with.drain_s = 3600;
    Running server(with);
    Client streaming(server->port(), "POST", kRun, story(true));
    (void)streaming.read(600);
    server->drain();
    server->stop();
    EXPECT_TRUE(server.ended());
    (void)streaming.all();
  }
  EXPECT_EQ(Left(), before);
  EXPECT_EQ(sockets(), 0u);
}

// Promises: SV2.
TEST_F(ServerTest, TheSecondSignalIsTheStatus) {
  const Left before;
  {
    Options with = options();
    with.drain_delay_s = 3600;
    Running server(with);
    ::kill(::getpid(), SIGTERM);
    while (Client(server->port(), "GET", "/readyz", "").all().starts_with("HTTP/1.1 200")) {}
    ::kill(::getpid(), SIGTERM);
    const auto status = server.ended();
    ASSERT_TRUE(status);
    EXPECT_EQ(*status, 128 + SIGTERM);
  }
  EXPECT_EQ(Left(), before);
}

// A load that is under way when it goes is not begun again: who wanted the model waited still.
// Promises: SV1, SV3.
TEST_F(ServerTest, WithoutARunNothingIsLeftEither) {
  const Left before;
  {
    auto made = Server::make(options());
    ASSERT_TRUE(made);
    EXPECT_EQ(Left().threads, before.threads);
  }
  EXPECT_EQ(Left(), before);
  {
    Options with = options();
    with.preload = {kModel};
    auto made = Server::make(with);
    ASSERT_TRUE(made);
    ASSERT_TRUE((*made)->start());
  }
  EXPECT_EQ(Left(), before);
}

// Promises: SV1, SV3.
TEST_F(ServerTest, OneThatCannotStartGoesAsAWhole) {
  asio::io_context io;
  asio::ip::tcp::acceptor taken(io, {asio::ip::make_address("127.0.0.1"), 0});
  const Left before;
  {
    Options with = options();
    with.listen = "127.0.0.1:" + std::to_string(taken.local_endpoint().port());
    auto made = Server::make(with);
    ASSERT_TRUE(made);
    const auto started = (*made)->start();
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find("cannot listen"), std::string::npos);
  }
  EXPECT_EQ(Left(), before);
}

// Promises: SV1.
TEST_F(ServerTest, WhatIsWrongIsSaidBeforeAnythingStarts) {
  const Left before;
  Options with = options();
  with.models = {"@t/none=/nowhere"};
  EXPECT_FALSE(Server::make(with));
  with = options();
  with.region = "eu";
  EXPECT_FALSE(Server::make(with));
  with = options();
  with.listen = "nonsense";
  EXPECT_FALSE(Server::make(with));
  EXPECT_EQ(Left(), before);
}

}  // namespace
}  // namespace verge::server
