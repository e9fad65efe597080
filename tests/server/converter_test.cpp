// Programs that a converter may turn out to be: each is over when the limit is, or when its client has left.
#include "server/converter.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <filesystem>
#include <fstream>

#include "support/spawn.h"
#include "support/uuid.h"

namespace verge::server {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

struct ConverterTest : ::testing::Test {
  ConverterTest() : folder(fs::temp_directory_path() / ("verge-converter-" + uuid_v4())) { fs::create_directory(folder); }
  ~ConverterTest() override { fs::remove_all(folder); }

  // A program of these lines, which first leaves its process id.
  std::string program(const std::string& lines) {
    const fs::path path = folder / "program";
    std::ofstream(path) << "#!/bin/sh\necho $$ > " << (folder / "pid").string() << "\n" << lines << "\n";
    chmod(path.c_str(), 0755);
    return path.string();
  }
  bool begun() const { return fs::exists(folder / "pid") && fs::file_size(folder / "pid") > 0; }
  bool lives() const {
    int pid = 0;
    std::ifstream(folder / "pid") >> pid;
    return pid > 0 && kill(pid, 0) == 0;
  }
  Result<std::string> convert(const std::string& lines, int limit_ms, const std::string& bytes = "in") {
    Converter converter(program(lines), limit_ms);
    std::optional<Result<std::string>> text;
    io.restart();
    spawn(io.get_executor(), "a conversion", [&]() -> asio::awaitable<void> {
      auto converting = converter.convert("text", "", bytes);
      text = co_await std::move(converting);
    });
    run_loop(io);
    return std::move(*text);
  }

  fs::path folder;
  asio::io_context io{1};
};

TEST_F(ConverterTest, WordsOfAProgramThatCannotRunAreNotForClients) {
  for (const char* lines : {"echo '/srv/secret/verge: error while loading shared libraries' >&2; exit 127", "echo /srv/secret >&2; exit 126", "echo /srv/secret >&2; kill -9 $$"}) {
    auto text = convert(lines, 60'000);
    ASSERT_FALSE(text) << lines;
    EXPECT_EQ(text.error().message.find("/srv/secret"), std::string::npos) << text.error().message;
  }
  EXPECT_EQ(convert("echo 'line 3 is no CSV' >&2; exit 1", 60'000).error().message, "line 3 is no CSV");
}

TEST_F(ConverterTest, GivesWhatTheProgramWrites) {
  auto text = convert("cat", 60'000, std::string(1 << 20, 'x'));
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->size(), size_t{1} << 20);
}

TEST_F(ConverterTest, TheProgramsOwnWordsAreTheError) {
  auto text = convert("echo no such page >&2; exit 1", 60'000);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message, "no such page");
}

// The signal of a pipe that nobody reads must not end the server.
TEST_F(ConverterTest, OneThatClosesItsInputIsItsOwnError) {
  signal(SIGPIPE, SIG_DFL);
  auto text = convert("exec <&-; echo not mine >&2; exit 1", 60'000, std::string(4 << 20, 'x'));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message, "not mine");
}

TEST_F(ConverterTest, EndlessErrorsCostNoMemory) {
  auto text = convert("exec cat /dev/zero >&2", 300);
  EXPECT_FALSE(text);
  EXPECT_FALSE(lives());
}

TEST_F(ConverterTest, OneThatStandsStillIsKilled) {
  auto text = convert("kill -STOP $$", 300);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, Code::InvalidInput);
  EXPECT_FALSE(lives());
}

TEST_F(ConverterTest, OneThatClosesItsOutputAndStaysIsKilled) {
  auto text = convert("exec >&- 2>&- sleep 1000", 300);
  EXPECT_FALSE(text);
  EXPECT_FALSE(lives());
}

TEST_F(ConverterTest, OneThatReadsNothingIsKilled) {
  auto text = convert("exec sleep 1000", 300, std::string(4 << 20, 'x'));
  EXPECT_FALSE(text);
  EXPECT_FALSE(lives());
}

TEST_F(ConverterTest, TheClientLeavesAndTheProcessGoes) {
  Converter converter(program("exec sleep 1000"));
  asio::cancellation_signal cancel;
  bool ended = false;
  spawn(
      io.get_executor(), "a conversion", cancel.slot(),
      [&]() -> asio::awaitable<void> {
        auto converting = converter.convert("text", "", "in");
        auto text = co_await std::move(converting);
        EXPECT_FALSE(text);
      },
      [&](std::exception_ptr) { ended = true; });
  io.poll();
  while (!begun()) usleep(1000);
  cancel.emit(asio::cancellation_type::terminal);
  while (!ended) io.run_one();
  while (lives()) usleep(1000);
}

TEST_F(ConverterTest, TheServerStopsAndTheProcessGoes) {
  auto converter = std::make_unique<Converter>(program("exec sleep 1000"));
  std::optional<Result<std::string>> text;
  spawn(io.get_executor(), "a conversion", [&]() -> asio::awaitable<void> {
    auto converting = converter->convert("text", "", "in");
    text = co_await std::move(converting);
  });
  io.poll();
  while (!begun()) usleep(1000);
  converter.reset();
  EXPECT_FALSE(lives());
  run_loop(io);
  EXPECT_FALSE(*text);
}

}  // namespace
}  // namespace verge::server
