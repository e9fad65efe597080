#include "accounts/usage_book.h"

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

TEST_F(UsageBookTest, ARowCountsOnceHoweverOftenItComes) {
  UsageBook book = open();
  const std::vector<UsageRow> rows{row(1), row(2)};
  EXPECT_EQ(*book.write(rows, true), 2);
  EXPECT_EQ(*book.write(rows, true), 0);
  UsageRow other = row(1);
  other.boot = 6;
  UsageRow elsewhere = row(1);
  elsewhere.gateway = "h";
  EXPECT_EQ(*book.write(std::vector<UsageRow>{rows[1], other, elsewhere}, true), 2);
  const UsageLine sum = total(book);
  EXPECT_EQ(sum.requests, 4);
  EXPECT_EQ(sum.neurons, 4000);
  EXPECT_EQ(sum.usage, (protocol::Usage{4, 8, 12, 16, 20, 24, 28, 32}));
}

TEST_F(UsageBookTest, ReportsByWhatIsAsked) {
  UsageBook book = open();
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(1), row(2, "b"), row(3, "a", 20'001), row(4, "a", 20'001, "@x/n"), row(5, "a", 20'001, "@x/n", "worker_gone")}, true));
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

TEST_F(UsageBookTest, PendingRowsWaitUntilTheyAreSent) {
  UsageBook book = open();
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(1), row(2), row(3)}, false));
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(4)}, true));
  auto first = book.pending(2);
  ASSERT_EQ(first->size(), 2u);
  EXPECT_EQ((*first)[0].seq, 1);
  EXPECT_EQ((*first)[0].usage, row(1).usage);
  EXPECT_EQ((*first)[0].id, "id-1");
  EXPECT_EQ((*first)[0].outcome, "ok");
  // The collector takes them; the answer gets lost, and they come again.
  const std::string there = folder_ + "/collector";
  auto collector = UsageBook::open(there);
  ASSERT_TRUE(collector);
  EXPECT_EQ(*collector->write(*first, true), 2);
  EXPECT_EQ(*collector->write(*book.pending(2), true), 0);
  ASSERT_TRUE(book.mark_sent(*first));
  auto rest = book.pending(10);
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ((*rest)[0].seq, 3);
  EXPECT_EQ(*collector->write(*rest, true), 1);
  EXPECT_EQ(total(*collector).neurons, 3000);
}

TEST_F(UsageBookTest, ABootIsNeverTheSameTwice) {
  UsageBook book = open();
  EXPECT_EQ(*book.next_boot("g", 4), 4);
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(1)}, true));
  EXPECT_EQ(*book.next_boot("g", 4), 6) << "a clock that was set back";
  EXPECT_EQ(*book.next_boot("h", 4), 4);
}

TEST_F(UsageBookTest, OldRowsGoAndTheirSumsStay) {
  UsageBook book = open();
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(1), row(2, "a", 20'400)}, true));
  ASSERT_TRUE(book.write(std::vector<UsageRow>{row(3)}, false));
  ASSERT_TRUE(book.forget_before(20'100 * kDay));
  EXPECT_EQ(total(book).requests, 3);
  EXPECT_EQ(book.pending(10)->size(), 1u) << "not sent yet: it stays";
  EXPECT_EQ(*book.write(std::vector<UsageRow>{row(2, "a", 20'400)}, true), 0) << "too young to go";
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
