#include "cluster/usage_messages.h"

#include <gtest/gtest.h>

#include <set>

namespace verge::cluster {
namespace {

UsageRow row(int64_t seq) {
  UsageRow out;
  out.gateway = "g";
  out.boot = 1'764'000'000'000;
  out.seq = seq;
  out.id = "8e5d1c2a-" + std::to_string(seq);
  out.time_ms = 1'764'000'000'123;
  out.account = "team-a";
  out.model = "@cf/meta/llama-3.2-1b-instruct";
  out.task = "text-generation";
  out.node = "fra1-a";
  out.answered_by = "@verge/smollm2-135m-instruct";
  out.outcome = "ok";
  out.neurons = 71'727;
  out.usage = {7, 3, 1, 0, 2, 0, 5, 9};
  return out;
}

UsageBatch decoded(const std::string& text, const std::string& gateway = "g") {
  auto read = decode_usage(text, gateway);
  EXPECT_TRUE(read) << read.error().message;
  return read ? std::get<UsageBatch>(*read) : UsageBatch();
}

TEST(UsageMessages, RowsThereAndBack) {
  const std::vector<UsageRow> rows{row(1), row(2), row(7)};
  const EncodedBatch batch = encode_batch({}, {}, rows);
  EXPECT_EQ(batch.upto, mark_of(rows.back()));
  const UsageBatch read = decoded(batch.text);
  EXPECT_EQ(read.rows, rows);
  EXPECT_EQ(read.after, UsageMark());
  EXPECT_EQ(read.upto, batch.upto);
  // Whose they are is whose subject they came on.
  EXPECT_EQ(decoded(batch.text, "h").rows.front().gateway, "h");
}

TEST(UsageMessages, OlderProgramsDoNotSayWhoAnswered) {
  UsageRow old = row(1);
  old.answered_by.clear();
  const std::string text = encode_batch({}, {}, std::vector<UsageRow>{old}).text;
  EXPECT_EQ(text.find("answered_by"), std::string::npos);
  EXPECT_EQ(decoded(text).rows, std::vector<UsageRow>{old});
}

TEST(UsageMessages, NoRowsUpToSomewhere) {
  const EncodedBatch batch = encode_batch({3, 4}, {9, 9}, {});
  const UsageBatch read = decoded(batch.text);
  EXPECT_TRUE(read.rows.empty());
  EXPECT_EQ(read.after, (UsageMark{3, 4}));
  EXPECT_EQ(read.upto, (UsageMark{9, 9}));
}

TEST(UsageMessages, MarksThereAndBack) {
  std::map<std::string, UsageMark> marks;
  for (size_t i = 0; i < kUsageGateways; ++i) marks[std::string(50, 'x') + std::to_string(i)] = {1'764'000'000'000, static_cast<int64_t>(i)};
  const std::string text = encode_have(marks);
  EXPECT_LE(text.size(), kUsageMessageBytes) << "of the largest cluster";
  auto read = decode_usage(text, "g");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(std::get<UsageHave>(*read).marks, marks);
}

// Whatever is in a book, what is written of it can be read: else one such row would hold up all that come after it.
TEST(UsageMessages, AnyRowCanBeSent) {
  std::vector<UsageRow> rows(700, row(1));
  for (size_t i = 0; i < rows.size(); ++i) {
    UsageRow& one = rows[i];
    one.seq = static_cast<int64_t>(i) + 1;
    one.neurons = i % 2 ? INT64_MAX : -1;
    one.usage.steps = i % 2 ? INT64_MIN : INT64_MAX;
    one.time_ms = -5;
    one.node = std::string(100'000, '\xff');
    one.id = "\"\\\n";
    one.account = "Straße" + std::to_string(i);
  }
  std::set<std::string> accounts;
  UsageMark after;
  for (std::span<const UsageRow> rest = rows; !rest.empty();) {
    const EncodedBatch batch = encode_batch(after, after, rest);
    EXPECT_LE(batch.text.size(), kUsageMessageBytes);
    const UsageBatch read = decoded(batch.text);
    ASSERT_FALSE(read.rows.empty());
    for (const UsageRow& one : read.rows) accounts.insert(one.account);
    after = batch.upto;
    rest = rest.subspan(read.rows.size());
  }
  EXPECT_EQ(accounts.size(), rows.size()) << "two accounts never become one";
  EXPECT_EQ(after.seq, 700);
}

TEST(UsageMessages, ANewerVersionIsNamed) {
  auto read = decode_usage(R"({"v":99,"have":{}})", "g");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::UnsupportedParameter);
  EXPECT_NE(read.error().message.find("gateway g"), std::string::npos);
}

TEST(UsageSubjects, ThereAndBack) {
  auto subject = parse_usage_subject(usage_subject("eu-gw"));
  ASSERT_TRUE(subject);
  EXPECT_EQ(subject->from, "eu-gw");
  EXPECT_EQ(subject->to, "");
  subject = parse_usage_subject(usage_subject("eu-gw", "us-gw"));
  ASSERT_TRUE(subject);
  EXPECT_EQ(subject->from, "eu-gw");
  EXPECT_EQ(subject->to, "us-gw");
  for (const char* wrong : {"", "verge.usage", "verge.usage.", "verge.usage.a.", "verge.usage.a.b.c", "verge.usage..b", "verge.demand.a", "verge.usage.A"}) EXPECT_FALSE(parse_usage_subject(wrong)) << wrong;
}

}  // namespace
}  // namespace verge::cluster
