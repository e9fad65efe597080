#include "accounts/usage_book.h"

#include <sqlite3.h>

#include <filesystem>

#include "accounts/usage_json.h"
#include "tests/accounts/folder.h"

namespace verge::accounts {
namespace {

constexpr int64_t kDay = 86'400'000;

UsageRow row(int64_t seq, std::string account = "a", int64_t day = 20'000, std::string model = "@x/m", std::string outcome = "ok") {
  UsageRow out;
  out.gateway = "g";
  out.boot = 5;
  out.seq = seq;
  out.id = "id-" + std::to_string(seq);
  out.time_ms = day * kDay + 1000;
  out.account = std::move(account);
  out.model = std::move(model);
  out.task = "text-generation";
  out.node = "n";
  out.outcome = std::move(outcome);
  if (out.outcome == "ok") {
    out.usage = {1, 2, 3, 4, 5, 6, 7, 8};
    out.neurons = 1000;
  }
  return out;
}

class UsageBookTest : public testing::FolderTest {
 protected:
  UsageBook open() {
    auto book = UsageBook::open(folder_);
    EXPECT_TRUE(book) << (book ? "" : book.error().message);
    return std::move(*book);
  }
  static UsageLine total(UsageBook& book) {
    auto lines = book.report({});
    EXPECT_TRUE(lines);
    return lines->empty() ? UsageLine() : lines->front();
  }
};

// What a power cut leaves is not tried here: that the call finds the log, whether there is one yet or not, is.
TEST_F(UsageBookTest, SyncsWithAndWithoutALog) {
  {
    UsageBook book = open();
    EXPECT_TRUE(book.sync());
    ASSERT_TRUE(book.write(std::vector{row(1)}));
    EXPECT_TRUE(std::filesystem::exists(folder_ + "/usage.db-wal"));
    const auto synced = book.sync();
    EXPECT_TRUE(synced) << synced.error().message;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/usage.db-wal")) << "the last to leave takes it along";
  UsageBook again = open();
  EXPECT_TRUE(again.sync());
  EXPECT_EQ(total(again).requests, 1);
}

// Promises: U1, U2.
TEST_F(UsageBookTest, ARowCountsOnceHoweverOftenItComes) {
  UsageBook book = open();
  const std::vector<UsageRow> rows{row(1), row(2)};
  EXPECT_EQ(*book.write(rows), 2);
  EXPECT_EQ(*book.write(rows), 0);
  UsageRow other = row(1);
  other.boot = 6;
  UsageRow elsewhere = row(1);
  elsewhere.gateway = "h";
  EXPECT_EQ(*book.write(std::vector<UsageRow>{rows[1], other, elsewhere}), 2);
  const UsageLine sum = total(book);
  EXPECT_EQ(sum.requests, 4);
  EXPECT_EQ(sum.neurons, 4000);
  EXPECT_EQ(sum.usage, (protocol::Usage{4, 8, 12, 16, 20, 24, 28, 32}));
}

TEST_F(UsageBookTest, ReportsByWhatIsAsked) {
  UsageBook book = open();
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(1), row(2, "b"), row(3, "a", 20'001), row(4, "a", 20'001, "@x/n"), row(5, "a", 20'001, "@x/n", "worker_gone")}));
  UsageQuery query;
  query.by_account = query.by_day = true;
  auto lines = book.report(query);
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->size(), 3u);
  EXPECT_EQ((*lines)[0].account, "a");
  EXPECT_EQ((*lines)[1].day, 20'001);
  EXPECT_EQ((*lines)[1].requests, 3);
  EXPECT_EQ((*lines)[1].failed, 1);
  EXPECT_EQ((*lines)[1].neurons, 2000);
  query = {};
  query.by_gateway = true;
  lines = book.report(query);
  ASSERT_EQ(lines->size(), 1u);
  EXPECT_EQ((*lines)[0].gateway, "g");
  EXPECT_EQ((*lines)[0].requests, 5);
  query = {};
  query.account = "a";
  query.from_day = query.to_day = 20'001;
  query.by_model = query.by_task = true;
  lines = book.report(query);
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_EQ((*lines)[1].model, "@x/n");
  EXPECT_EQ((*lines)[1].task, "text-generation");
  EXPECT_EQ((*lines)[1].requests, 2);
  EXPECT_EQ(*book.neurons_of("a", 20'001), 2000);
  EXPECT_EQ(*book.neurons_of("nobody", 20'001), 0);
  query.account = "'; DROP TABLE usage; --";
  EXPECT_TRUE(book.report(query)->empty());
}

// Promises: U4.
TEST_F(UsageBookTest, RowsAreReadInTheirOrderFromAMark) {
  UsageBook book = open();
  UsageRow later = row(1);
  later.boot = 6;
  UsageRow elsewhere = row(9);
  elsewhere.gateway = "h";
  ASSERT_TRUE(book.write(std::vector<UsageRow>{later, elsewhere, row(2), row(3), row(1)}));
  auto rows = book.rows_after("g", {}, 2);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(*rows, (std::vector<UsageRow>{row(1), row(2)}));
  rows = book.rows_after("g", mark_of(rows->back()), 10);
  EXPECT_EQ(*rows, (std::vector<UsageRow>{row(3), later}));
  EXPECT_EQ(*book.last_of("g"), (UsageMark{6, 1}));
  EXPECT_EQ(*book.last_of("nobody"), UsageMark());
}

TEST_F(UsageBookTest, RowsOfOthersAreMergedOnceAndWithoutGaps) {
  UsageBook book = open();
  const std::vector<UsageRow> rows{row(1), row(2), row(4)};  // the third was lost before it was written
  EXPECT_FALSE(*book.merge("g", {5, 2}, {5, 4}, std::span(rows).subspan(2)));
  EXPECT_TRUE(*book.merge("g", {}, {5, 2}, std::span(rows).first(2)));
  EXPECT_TRUE(*book.merge("g", {}, {5, 2}, std::span(rows).first(2)));
  EXPECT_TRUE(*book.merge("g", {5, 1}, {5, 4}, std::span(rows).subspan(1))) << "one of them is known";
  EXPECT_EQ(*book.rows_after("g", {}, 10), rows);
  EXPECT_EQ(total(book).requests, 3);
  EXPECT_EQ(*book.neurons_of("a", 20'000), 3000);
  EXPECT_EQ(*book.neurons_of("a", 20'000, "g"), 3000);
  EXPECT_EQ(*book.neurons_of("a", 20'000, "h"), 0);
  EXPECT_EQ(*book.marks(), (std::map<std::string, UsageMark>{{"g", {5, 4}}}));
  // Forgotten, and never merged again.
  ASSERT_TRUE(book.forget_before(20'100 * kDay));
  EXPECT_TRUE(book.rows_after("g", {}, 10)->empty());
  EXPECT_TRUE(*book.merge("g", {}, {5, 4}, rows));
  EXPECT_EQ(total(book).requests, 3);
  // A batch without rows: there are none up to there.
  EXPECT_TRUE(*book.merge("g", {5, 4}, {7, 9}, {}));
  EXPECT_EQ(book.marks()->at("g"), (UsageMark{7, 9}));
}

TEST_F(UsageBookTest, WhatAServerWroteAloneIsTheGatewaysThatItBecomes) {
  UsageBook book = open();
  UsageRow alone = row(1), theirs = row(1), older = row(2);
  alone.gateway = older.gateway = "local";
  theirs.gateway = "h";
  older.model = "@x/n";
  ASSERT_TRUE(book.write(std::vector<UsageRow>{alone, older}));
  ASSERT_TRUE(*book.merge("h", {}, {5, 1}, std::vector<UsageRow>{theirs}));
  ASSERT_TRUE(book.share_as("g"));
  ASSERT_TRUE(book.share_as("g"));
  alone.gateway = older.gateway = "g";
  EXPECT_EQ(*book.rows_after("g", {}, 10), (std::vector<UsageRow>{alone, older}));
  EXPECT_EQ(*book.rows_after("h", {}, 10), std::vector<UsageRow>{theirs});
  EXPECT_EQ(*book.neurons_of("a", 20'000, "g"), 2000);
  // Alone once more, and back.
  UsageRow again = row(3);
  again.gateway = "local";
  ASSERT_TRUE(book.write(std::vector<UsageRow>{again}));
  ASSERT_TRUE(book.share_as("g"));
  EXPECT_EQ(*book.neurons_of("a", 20'000, "g"), 3000);
  EXPECT_EQ(total(book).requests, 4);
  // Under another name: what went out under the first one stays that one's.
  ASSERT_TRUE(book.share_as("z"));
  EXPECT_EQ(*book.neurons_of("a", 20'000, "g"), 3000);
  EXPECT_EQ(*book.neurons_of("a", 20'000, "z"), 0);
}

TEST_F(UsageBookTest, ABookOfTheFirstVersionIsTakenOver) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ + "/usage.db").c_str(), &db), SQLITE_OK);
  const std::string units = "prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, audio_ms INTEGER NOT NULL,"
                            " images INTEGER NOT NULL, tiles INTEGER NOT NULL, steps INTEGER NOT NULL, characters INTEGER NOT NULL,";
  const std::string sql =
      "CREATE TABLE usage (gateway TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, time_ms INTEGER NOT NULL, account TEXT NOT NULL,"
      " model TEXT NOT NULL, task TEXT NOT NULL, node TEXT NOT NULL, outcome TEXT NOT NULL, neurons INTEGER NOT NULL, " + units +
      " sent INTEGER NOT NULL, PRIMARY KEY (gateway, boot, seq)) STRICT, WITHOUT ROWID;"
      "CREATE INDEX usage_unsent ON usage (boot, seq) WHERE sent = 0;"
      "CREATE TABLE usage_sums (account TEXT NOT NULL, day INTEGER NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL, requests INTEGER NOT NULL, failed INTEGER NOT NULL,"
      " neurons INTEGER NOT NULL, " + units + " PRIMARY KEY (account, day, model, task)) STRICT, WITHOUT ROWID;"
      "INSERT INTO usage VALUES ('g', 5, 1, 'id-1', 1728000001000, 'a', '@x/m', 'text-generation', 'n', 'ok', 1000, 1, 2, 3, 4, 5, 6, 7, 8, 1);"
      "INSERT INTO usage_sums VALUES ('a', 20000, '@x/m', 'text-generation', 3, 1, 2000, 2, 4, 6, 8, 10, 12, 14, 16);"
      "PRAGMA user_version = 1";
  ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
  UsageBook book = open();
  EXPECT_EQ(*book.rows_after("g", {}, 10), std::vector<UsageRow>{row(1)});
  EXPECT_EQ(total(book).requests, 3);
  EXPECT_EQ(total(book).failed, 1);
  EXPECT_EQ(*book.neurons_of("a", 20'000, "g"), 2000);
  EXPECT_EQ(*book.write(std::vector<UsageRow>{row(1), row(2)}), 1);
  EXPECT_EQ(*book.neurons_of("a", 20'000, "g"), 3000);
}

TEST_F(UsageBookTest, StandInsAreToldApart) {
  UsageBook book = open();
  UsageRow itself = row(1), stood_in = row(2), unknown = row(3);
  itself.answered_by = itself.model;
  stood_in.answered_by = "@verge/small";
  ASSERT_TRUE(book.write(std::vector<UsageRow>{itself, stood_in, unknown}));
  EXPECT_EQ(*book.rows_after("g", {}, 10), (std::vector<UsageRow>{itself, stood_in, unknown}));
  EXPECT_EQ(total(book).requests, 3);
  EXPECT_EQ(total(book).substituted, 1);
  auto query = usage_query("2024-01-01", "", "model,answered_by", 20'781);
  ASSERT_TRUE(query);
  const auto lines = *book.report(*query);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1].answered_by, "@verge/small");
  EXPECT_EQ(lines[1].substituted, 1);
  const json::object report = usage_json(*query, lines);
  EXPECT_EQ(report.at("rows").at(1).at("answered_by"), "@verge/small");
  EXPECT_EQ(report.at("total").at("substituted"), 1);
}

TEST_F(UsageBookTest, ABootIsNeverTheSameTwice) {
  UsageBook book = open();
  EXPECT_EQ(*book.next_boot("g", 4), 4);
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(1)}));
  EXPECT_EQ(*book.next_boot("g", 4), 6) << "a clock that was set back";
  EXPECT_EQ(*book.next_boot("h", 4), 4);
}

// Promises: U1, U2.
TEST_F(UsageBookTest, OldRowsGoAndTheirSumsStay) {
  UsageBook book = open();
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(1), row(2, "a", 20'400)}));
  ASSERT_TRUE(book.forget_before(20'100 * kDay));
  EXPECT_EQ(total(book).requests, 2);
  EXPECT_EQ(book.rows_after("g", {}, 10)->size(), 1u);
  EXPECT_EQ(*book.write(std::vector<UsageRow>{row(2, "a", 20'400)}), 0) << "too young to go";
}

TEST_F(UsageBookTest, ADamagedFileIsAnErrorThatSaysSo) {
  { UsageBook book = open(); }
  std::filesystem::resize_file(folder_ + "/usage.db", 100);
  auto book = UsageBook::open(folder_);
  ASSERT_FALSE(book);
  EXPECT_EQ(book.error().code, Code::LoadFailed) << book.error().message;
}

TEST(Dates, ThereAndBack) {
  for (int64_t day : {0, 1, 58, 59, 60, 365, 10'957, 11'016, 20'000, 20'782, 40'000}) EXPECT_EQ(parse_date(date_of(day)), day) << date_of(day);
  EXPECT_EQ(date_of(20'781), "2026-11-24");
  for (const char* wrong : {"", "2026-11-31", "2026-13-01", "26-11-24", "2026-11-24T", "2026/11/24", "abcd-ef-gh", "2026-00-10", "1969-12-31"})
    EXPECT_FALSE(parse_date(wrong)) << wrong;
}

TEST(UsageQueryText, DefaultsToTodayAndNamesWhatIsWrong) {
  auto query = usage_query("", "", "", 20'781);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->from_day, 20'781);
  EXPECT_EQ(query->to_day, 20'781);
  query = usage_query("2026-11-01", "", "day,model", 20'781);
  ASSERT_TRUE(query);
  EXPECT_EQ(date_of(query->from_day), "2026-11-01");
  EXPECT_TRUE(query->by_day && query->by_model && !query->by_task);
  query = usage_query("", "2026-11-03", "", 20'781);
  EXPECT_EQ(date_of(query->from_day), "2026-11-03");
  EXPECT_NE(usage_query("yesterday", "", "", 1).error().message.find("'/from'"), std::string::npos);
  EXPECT_FALSE(usage_query("2026-11-04", "2026-11-03", "", 1));
  EXPECT_FALSE(usage_query("", "", "day,colour", 1));
}

}  // namespace
}  // namespace verge::accounts
