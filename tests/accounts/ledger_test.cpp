#include "accounts/ledger.h"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "support/log.h"
#include "tests/accounts/folder.h"

namespace verge::accounts {
namespace {

UsageRow row(std::string id, int64_t neurons = 1) {
  UsageRow out;
  out.id = std::move(id);
  out.time_ms = 20'000 * kDayMs;
  out.account = "a";
  out.model = "@x/m";
  out.task = "text-generation";
  out.outcome = "ok";
  out.neurons = neurons;
  return out;
}

class LedgerTest : public testing::FolderTest {
 protected:
  std::unique_ptr<Ledger> open(LedgerOptions options = {}) {
    auto ledger = Ledger::open(io_.get_executor(), folder_, std::move(options));
    EXPECT_TRUE(ledger) << (ledger ? "" : ledger.error().message);
    return std::move(*ledger);
  }
  void tell_sqlite(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ + "/usage.db").c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
};

// Promises: UL1.
TEST_F(LedgerTest, CommittedMeansInTheBook) {
  auto ledger = open();
  run([&]() -> task<void> {
    UsageRow one = row("1", 5);
    auto committing = ledger->commit(std::move(one));
    co_await std::move(committing);
    auto book = UsageBook::open(folder_);  // another connection, as after a crash
    EXPECT_EQ(*book->neurons_of("a", 20'000), 5);
  });
  EXPECT_EQ(ledger->unwritten(), 0u);
  EXPECT_EQ(*ledger->neurons_of("a", 20'000), 5);
}

TEST_F(LedgerTest, WhatNobodyWaitsForIsWrittenBeforeItIsDestroyed) {
  auto ledger = open();
  for (int i = 0; i < 100; ++i) ledger->add(row(std::to_string(i)));
  ledger.reset();
  auto book = UsageBook::open(folder_);
  EXPECT_EQ(*book->neurons_of("a", 20'000), 100);
}

TEST_F(LedgerTest, ManyAnswersShareACommitAndEachIsThereOnce) {
  auto ledger = open({"g"});
  int left = 500;
  run([&]() -> task<void> {
    for (int i = 0; i < 500; ++i)
      boost::asio::co_spawn(
          io_,
          [](Ledger& to, int number) -> task<void> {
            UsageRow one = row(std::to_string(number));
            auto committing = to.commit(std::move(one));
            co_await std::move(committing);
          }(*ledger, i),
          [&](std::exception_ptr) { --left; });
    co_return;
  });
  while (left > 0) {
    if (io_.run_one_for(std::chrono::milliseconds(50)) == 0) io_.restart();
  }
  auto rows = ledger->own_rows_after({}, 1000);
  ASSERT_EQ(rows->size(), 500u);
  std::set<int64_t> sequence;
  for (const UsageRow& one : *rows) sequence.insert(one.seq);
  EXPECT_EQ(sequence.size(), 500u);
  EXPECT_EQ(*sequence.begin(), 1);
  EXPECT_EQ(*sequence.rbegin(), 500);
  EXPECT_EQ(*ledger->own_last(), mark_of(rows->back()));
  EXPECT_TRUE(ledger->own_rows_after(mark_of(rows->back()), 10)->empty());
  EXPECT_EQ(*ledger->neurons_of("a", 20'000), 500);
}

TEST_F(LedgerTest, RowsOfOthersAreInTheReportAndAreNoSpendingOfThisOne) {
  auto ledger = open({"g", true});
  std::vector<UsageRow> theirs(3, row("their", 10));
  for (size_t i = 0; i < theirs.size(); ++i) {
    theirs[i].gateway = "h";
    theirs[i].boot = 5;
    theirs[i].seq = static_cast<int64_t>(i) + 1;
  }
  std::vector<bool> merged;
  run([&]() -> task<void> {
    UsageRow own = row("own", 7);
    auto committing = ledger->commit(std::move(own));
    co_await std::move(committing);
    std::string gateway = "h";
    const UsageMark none, first{5, 1}, last{5, 3};
    std::vector<UsageRow> late(theirs.begin() + 1, theirs.end()), all = theirs, again = theirs;
    auto early = ledger->merge(gateway, first, last, std::move(late));
    merged.push_back(co_await std::move(early));
    auto merging = ledger->merge(gateway, none, last, std::move(all));
    merged.push_back(co_await std::move(merging));
    auto repeating = ledger->merge(gateway, none, last, std::move(again));
    merged.push_back(co_await std::move(repeating));
  });
  EXPECT_EQ(merged, (std::vector<bool>{false, true, true})) << "not after a gap; then; and again is no error";
  EXPECT_EQ(*ledger->neurons_of("a", 20'000), 37);
  EXPECT_EQ(*ledger->own_neurons_of("a", 20'000), 7);
  EXPECT_EQ((*ledger->marks()).at("h"), (UsageMark{5, 3}));
  EXPECT_EQ(ledger->own_rows_after({}, 10)->size(), 1u);
  EXPECT_EQ(ledger->unwritten(), 0u);
}

// Promises: UL2.
TEST_F(LedgerTest, AnswersGoOnWhileTheDiskFailsAndNothingIsLost) {
  log::configure(log::Level::Off, log::Format::Text, "test");
  auto ledger = open();
  // A table that is away for a while stands for a disk that takes nothing.
  tell_sqlite("ALTER TABLE usage RENAME TO away");
  run([&]() -> task<void> {
    UsageRow one = row("1", 7);
    auto committing = ledger->commit(std::move(one));
    co_await std::move(committing);
  });
  EXPECT_TRUE(ledger->failing());
  EXPECT_EQ(ledger->unwritten(), 1u);
  tell_sqlite("ALTER TABLE away RENAME TO usage");
  while (ledger->unwritten() > 0) usleep(10'000);
  EXPECT_FALSE(ledger->failing());
  EXPECT_EQ(*ledger->neurons_of("a", 20'000), 7);
}

// What is done to the file under a running server, and what then has to be there after another start.
struct Fault {
  const char* name;
  void (*happen)(const std::string& usage_db);
  bool lossless;
};
const Fault kFaults[] = {
    {"the database is removed", [](const std::string& path) { std::filesystem::remove(path); }, true},
    {"the log is removed", [](const std::string& path) { std::filesystem::remove(path + "-wal"); }, true},
    {"all are removed", [](const std::string& path) { for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path + end); }, true},
    {"another file is put in its place",
     [](const std::string& path) {
       std::filesystem::rename(path, path + ".old");
       std::ofstream(path) << "a backup, say";
     },
     true},
    {"the log is cut short", [](const std::string& path) { std::filesystem::resize_file(path + "-wal", 100); }, false},
    {"the database is written over", [](const std::string& path) { std::ofstream(path, std::ios::binary | std::ios::in) << std::string(65536, 'x'); }, false},
    {"the database is emptied", [](const std::string& path) { std::filesystem::resize_file(path, 0); }, false},
};

TEST_F(LedgerTest, WhateverIsDoneToItsFilesItGoesOnAndCountsRight) {
  log::configure(log::Level::Off, log::Format::Text, "test");
  for (const Fault& fault : kFaults) {
    SCOPED_TRACE(fault.name);
    for (const auto& file : std::filesystem::directory_iterator(folder_)) std::filesystem::remove(file);
    const auto commit = [&](Ledger& ledger, const char* id) {
      run([&]() -> task<void> {
        UsageRow one = row(id);
        auto committing = ledger.commit(std::move(one));
        co_await std::move(committing);
      });
    };
    {
      auto ledger = open({"g"});
      commit(*ledger, "1");
      commit(*ledger, "2");
      fault.happen(folder_ + "/usage.db");
      commit(*ledger, "3");
      commit(*ledger, "4");
      EXPECT_FALSE(ledger->failing());
      EXPECT_EQ(ledger->unwritten(), 0u);
      if (fault.lossless) {
        EXPECT_EQ(*ledger->neurons_of("a", 20'000), 4);
      }
      // A server that is killed now has lost nothing more.
      auto copy = UsageBook::snapshot(folder_);
      ASSERT_TRUE(copy) << copy.error().message;
      EXPECT_EQ(*copy->neurons_of("a", 20'000), *ledger->neurons_of("a", 20'000));
    }
    auto again = open({"g"});
    const auto rows = again->own_rows_after({}, 100);
    ASSERT_TRUE(rows);
    EXPECT_GE(rows->size(), fault.lossless ? 4u : 2u);
    EXPECT_EQ(*again->neurons_of("a", 20'000), static_cast<int64_t>(rows->size())) << "the sums are those of the rows";
  }
}

TEST_F(LedgerTest, ASnapshotIsTakenWhileAnotherWrites) {
  auto ledger = open();
  run([&]() -> task<void> {
    UsageRow one = row("1", 5);
    auto committing = ledger->commit(std::move(one));
    co_await std::move(committing);
  });
  const pid_t child = fork();
  if (child == 0) {
    auto book = UsageBook::snapshot(folder_);
    _exit(book && *book->neurons_of("a", 20'000) == 5 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(UsageBook::snapshot(folder_ + "/absent"));
}

// A process that writes rows and tells of each only after commit(), killed at a random moment: all that it told of is
// there, once, and at most the ones under way besides.
// Promises: UL1, U3.
TEST_F(LedgerTest, EveryRowThatWasToldOfSurvivesAKill) {
  constexpr int kUnderWay = 8;
  std::set<std::string> told;
  for (int round = 0; round < 12; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      boost::asio::io_context io(1);
      auto ledger = Ledger::open(io.get_executor(), folder_, {"g"});
      if (!ledger) _exit(1);
      for (int lane = 0; lane < kUnderWay; ++lane)
        boost::asio::co_spawn(
            io,
            [](Ledger& to, int out, int r, int l) -> task<void> {
              for (int i = 0;; ++i) {
                const std::string id = fmt::format("{}-{}-{}\n", r, l, i);
                UsageRow one = row(id);
                auto committing = to.commit(std::move(one));
                co_await std::move(committing);
                if (write(out, id.data(), id.size()) < 0) _exit(2);
              }
            }(**ledger, pipe_ends[1], round, lane),
            [](std::exception_ptr) {});
      io.run();
      _exit(0);
    }
    close(pipe_ends[1]);
    // The pipe says how far it is: killed after some number of rows, in the middle of whatever it then does.
    std::string heard;
    const size_t enough = static_cast<size_t>(20 + round * 97);
    char buffer[512];
    while (heard.size() < enough) {
      const ssize_t got = read(pipe_ends[0], buffer, sizeof buffer);
      ASSERT_GT(got, 0) << "the child ended by itself";
      heard.append(buffer, static_cast<size_t>(got));
    }
    kill(child, SIGKILL);
    for (ssize_t got = 0; (got = read(pipe_ends[0], buffer, sizeof buffer)) > 0;) heard.append(buffer, static_cast<size_t>(got));
    close(pipe_ends[0]);
    waitpid(child, nullptr, 0);
    for (size_t at = 0, end = 0; (end = heard.find('\n', at)) != std::string::npos; at = end + 1) told.insert(heard.substr(at, end - at + 1));
  }
  auto book = UsageBook::open(folder_);
  std::multiset<std::string> rows;
  const auto all = book->rows_after("g", {}, 1'000'000);
  for (const UsageRow& one : *all) rows.insert(one.id);
  for (const std::string& id : told) ASSERT_EQ(rows.count(id), 1u) << id;
  EXPECT_LE(rows.size(), told.size() + 12 * kUnderWay);
  EXPECT_EQ(*book->neurons_of("a", 20'000), static_cast<int64_t>(rows.size())) << "the sums are those of the rows";
  std::printf("%zu rows told of, %zu in the book\n", told.size(), rows.size());
}

}  // namespace
}  // namespace verge::accounts
