#include "commands/token.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "accounts/accounts.h"
#include "support/clock.h"
#include "support/json.h"

namespace verge::commands {
namespace {

class TokenTest : public testing::Test {
 protected:
  TokenTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "verge-token-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~TokenTest() override { std::filesystem::remove_all(folder_); }

  struct Outcome {
    int code;
    std::string out, err;
  };
  Outcome call(std::vector<std::string> words) {
    words.insert(words.begin(), "verge token");
    words.insert(words.end(), {"--data", folder_});
    std::vector<char*> args;
    for (std::string& word : words) args.push_back(word.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    int code = token(static_cast<int>(args.size()), args.data());
    std::string out = testing::internal::GetCapturedStdout(), err = testing::internal::GetCapturedStderr();
    return {code, std::move(out), std::move(err)};
  }
  std::string folder_;
};

TEST_F(TokenTest, CreatedTokenIsValidAndAloneOnStdout) {
  Outcome made = call({"create", "--name", "ci"});
  ASSERT_EQ(made.code, 0) << made.err;
  ASSERT_TRUE(made.out.ends_with('\n'));
  auto token = accounts::Accounts::open(folder_)->verify(made.out.substr(0, made.out.size() - 1), unix_ms());
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->name, "ci");
  EXPECT_EQ(token->scope, "run");
  EXPECT_NE(made.err.find("answers requests with a token only"), std::string::npos);
  EXPECT_EQ(call({"create"}).err.find("answers requests with a token only"), std::string::npos);
}

TEST_F(TokenTest, JsonListsWithoutSecrets) {
  auto made = parse_json(call({"create", "--json", "--scope", "admin", "--account", "mine"}).out);
  ASSERT_TRUE(made);
  std::string secret(made->at("token").as_string());
  Outcome listed = call({"list", "--json"});
  auto list = parse_json(listed.out);
  ASSERT_TRUE(list);
  ASSERT_EQ(list->as_array().size(), 1u);
  EXPECT_EQ(list->at(0).at("id"), made->at("id"));
  EXPECT_EQ(list->at(0).at("account"), "mine");
  EXPECT_EQ(list->at(0).at("revoked_ms"), nullptr);
  EXPECT_EQ(listed.out.find(secret), std::string::npos);
  EXPECT_EQ(call({"list"}).out.find(secret), std::string::npos);
}

TEST_F(TokenTest, RevokedTokenIsWorthless) {
  auto made = parse_json(call({"create", "--json"}).out);
  ASSERT_TRUE(made);
  EXPECT_EQ(call({"revoke", std::string(made->at("id").as_string())}).code, 0);
  EXPECT_FALSE(accounts::Accounts::open(folder_)->verify(std::string(made->at("token").as_string()), unix_ms()));
  EXPECT_EQ(call({"revoke", "000000000000"}).code, 1);
}

TEST_F(TokenTest, WrongUseIsAnError) {
  EXPECT_NE(call({}).code, 0);
  EXPECT_NE(call({"create", "--scope", "root"}).code, 0);
  EXPECT_NE(call({"revoke"}).code, 0);
  EXPECT_EQ(call({"create", "--account", "a/b"}).code, 1);
}

}  // namespace
}  // namespace verge::commands
