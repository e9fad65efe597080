#include "accounts/token_file.h"

#include <gtest/gtest.h>

#include "accounts/quota.h"
#include "folder.h"

namespace verge::accounts {
namespace {

const std::string kSecret(40, 's');

using TokenFileTest = testing::FolderTest;

TEST(TokenFile, TakesHashesAndSecrets) {
  const std::string other(33, 'o');
  auto file = parse_token_file("# ours\n\n  sha256:" + token_hash(kSecret) + "\tscope=admin account=acc name=ci expires=1970-01-03\r\n" + other);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->size(), 2u);
  const Token& one = file->at(token_hash(kSecret));
  EXPECT_EQ(one.scope + one.account + one.name, "adminaccci");
  EXPECT_EQ(one.expires_ms, 2 * kDayMs);
  EXPECT_EQ(file->at(token_hash(other)).scope, "run");
}

TEST(TokenFile, AWrongOneIsRefusedByItsLine) {
  const std::string good = "sha256:" + token_hash("x");
  for (const std::string& bad : {std::string("short"), std::string("sha256:12"), good + " scope=root", good + " scope", good + " account=a/b", good + " expires=30d", good + " colour=red",
                                 std::string(33, '\x80'), std::string(600, 'x'), good + "\n" + good}) {
    auto file = parse_token_file("# first\n" + bad);
    ASSERT_FALSE(file) << bad;
    EXPECT_EQ(file.error().code, Code::InvalidInput);
    EXPECT_TRUE(file.error().message.starts_with(bad.find('\n') == std::string::npos ? "line 2: " : "line 3: ")) << file.error().message;
    EXPECT_EQ(file.error().message.find(std::string(33, 'x')), std::string::npos);
  }
}

TEST_F(TokenFileTest, CountsBesideTheDatabaseAndClosesTheServer) {
  Accounts accounts = std::move(*Accounts::open(folder_));
  EXPECT_FALSE(*accounts.tokens_required());
  ASSERT_TRUE(accounts.use_file({}));
  EXPECT_TRUE(*accounts.tokens_required()) << "an empty one too";
  ASSERT_TRUE(accounts.use_file(*parse_token_file(kSecret + " expires=1970-01-02")));
  EXPECT_TRUE(accounts.verify(kSecret, 5));
  EXPECT_FALSE(accounts.verify(kSecret, kDayMs));
  EXPECT_FALSE(accounts.verify(kSecret + "x", 5));
  ASSERT_TRUE(accounts.use_file({}));
  EXPECT_FALSE(accounts.verify(kSecret, 5));
  EXPECT_FALSE(Accounts::open(folder_)->tokens_required()) << "without the file it stays closed";
  // Revoked is revoked, also where a file has it still.
  const auto made = *accounts.create("x", "run", "", 1);
  ASSERT_TRUE(accounts.revoke(made.token.id, 2));
  ASSERT_TRUE(accounts.use_file(*parse_token_file(made.secret)));
  EXPECT_FALSE(accounts.verify(made.secret, 5));
}

TEST(Expiry, TimesAndDates) {
  EXPECT_EQ(*parse_expiry("12h", 5), 5 + 12 * 3'600'000);
  EXPECT_EQ(*parse_expiry("30d", 5), 5 + 30 * kDayMs);
  EXPECT_EQ(*parse_expiry("2w", 5), 5 + 14 * kDayMs);
  EXPECT_EQ(*parse_expiry("1970-01-03", 5), 2 * kDayMs);
  for (const char* bad : {"", "d", "0d", "-1d", "30", "30 d", "1e9y", "1970-01-01", "2027-02-30", "99999999999999999999d"}) EXPECT_FALSE(parse_expiry(bad, 5)) << bad;
}

}  // namespace
}  // namespace verge::accounts
