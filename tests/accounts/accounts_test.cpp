#include "accounts/accounts.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace verge::accounts {
namespace {

namespace fs = std::filesystem;

class AccountsTest : public testing::Test {
 protected:
  AccountsTest() {
    std::string pattern = (fs::temp_directory_path() / "verge-accounts-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~AccountsTest() override { fs::remove_all(folder_); }
  Accounts open() {
    auto opened = Accounts::open(folder_);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    return std::move(*opened);
  }
  std::string folder_;
};

TEST_F(AccountsTest, NoTokenIsNeededBeforeTheFirst) {
  Accounts accounts = open();
  EXPECT_FALSE(*accounts.tokens_required());
  ASSERT_TRUE(accounts.create("ci", "inference", "", 5));
  EXPECT_TRUE(*accounts.tokens_required());
}

TEST_F(AccountsTest, ATokenMadeByAnotherProcessCountsAtOnce) {
  Accounts server = open(), command = open();
  EXPECT_FALSE(*server.tokens_required());
  auto made = command.create("x", "admin", "acc", 7);
  ASSERT_TRUE(made);
  EXPECT_TRUE(*server.tokens_required());
  auto token = server.verify(made->secret);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->id, made->token.id);
  EXPECT_EQ(token->scope, "admin");
  EXPECT_EQ(token->account, "acc");
  EXPECT_EQ(token->created_ms, 7);
}

TEST_F(AccountsTest, RevokedIsRefusedAndTokensStayRequired) {
  Accounts accounts = open();
  auto made = accounts.create("x", "inference", "", 1);
  ASSERT_TRUE(accounts.verify(made->secret));
  auto revoked = accounts.revoke(made->token.id, 9);
  ASSERT_TRUE(revoked);
  EXPECT_EQ(revoked->revoked_ms, 9);
  EXPECT_EQ(accounts.verify(made->secret).error().code, Code::Unauthenticated);
  EXPECT_EQ(accounts.revoke(made->token.id, 20)->revoked_ms, 9);
  EXPECT_TRUE(*accounts.tokens_required());
  EXPECT_TRUE(*open().tokens_required());
}

TEST_F(AccountsTest, UnknownIdIsNotFound) { EXPECT_EQ(open().revoke("000000000000", 1).error().code, Code::NotFound); }

TEST_F(AccountsTest, WrongSecretsAreRefused) {
  Accounts accounts = open();
  auto made = accounts.create("x", "inference", "", 1);
  std::string good = made->secret, flipped = good;
  flipped.back() = flipped.back() == 'A' ? 'B' : 'A';
  std::string other_id = good;
  other_id[4] = other_id[4] == '0' ? '1' : '0';
  for (const std::string& bad : {std::string(), std::string("vrg_"), flipped, other_id, good + "x", good.substr(1),
                                 std::string(good.size(), 'a'), std::string(1 << 20, 'x'), std::string(good.size(), '\0')}) {
    auto token = accounts.verify(bad);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, Code::Unauthenticated);
  }
  EXPECT_TRUE(accounts.verify(good));
}

TEST_F(AccountsTest, SecretIsNotInTheFile) {
  std::string secret;
  {
    Accounts accounts = open();
    secret = accounts.create("x", "inference", "", 1)->secret;
  }
  std::string tail = secret.substr(secret.size() - 43);
  for (const auto& file : fs::directory_iterator(folder_)) {
    std::ostringstream content;
    content << std::ifstream(file.path(), std::ios::binary).rdbuf();
    EXPECT_EQ(content.str().find(tail), std::string::npos) << file.path();
  }
}

TEST_F(AccountsTest, SecretsDiffer) {
  Accounts accounts = open();
  std::set<std::string> secrets;
  for (int i = 0; i < 20; ++i) secrets.insert(accounts.create("x", "inference", "", i)->secret);
  EXPECT_EQ(secrets.size(), 20u);
  EXPECT_EQ(accounts.list()->size(), 20u);
  EXPECT_EQ(accounts.list()->front().created_ms, 0);
}

TEST_F(AccountsTest, WrongArgumentsAreInvalid) {
  Accounts accounts = open();
  EXPECT_EQ(accounts.create("x", "root", "", 1).error().code, Code::InvalidInput);
  EXPECT_EQ(accounts.create(std::string(65, 'n'), "admin", "", 1).error().code, Code::InvalidInput);
  EXPECT_EQ(accounts.create("x", "admin", "a/b", 1).error().code, Code::InvalidInput);
  EXPECT_TRUE(accounts.list()->empty());
}

}  // namespace
}  // namespace verge::accounts
