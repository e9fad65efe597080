#include "accounts/accounts.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
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

TEST(AccountIds, AnyNameHasAValidOneForKeys) {
  EXPECT_EQ(valid_account_for("023e105f4ecef8ad9ca31a8372d0c353"), "023e105f4ecef8ad9ca31a8372d0c353");
  std::set<std::string> all;
  for (const char* odd : {"", "a.b", "a.*", ">", "a b", "\xff\xfe"}) {
    EXPECT_TRUE(valid_account(valid_account_for(odd))) << odd;
    all.insert(valid_account_for(odd));
  }
  EXPECT_EQ(all.size(), 6u);
}

TEST_F(AccountsTest, AScopeMayWhatTheSmallerOnesMay) {
  Accounts accounts = open();
  const auto may = [&](const char* scope) {
    const Token token = *accounts.verify(accounts.create("x", scope, "", 1)->secret, 10);
    return fmt::format("{} {} {} {}", token.scope, token.allows("read"), token.allows("run"), token.allows("admin"));
  };
  EXPECT_EQ(may("read"), "read true false false");
  EXPECT_EQ(may("run"), "run true true false");
  EXPECT_EQ(may("inference"), "run true true false") << "its old name";
  EXPECT_EQ(may("admin"), "admin true true true");
  EXPECT_FALSE(Token{}.allows("read"));
  EXPECT_EQ(accounts.create("x", "root", "", 1).error().code, Code::InvalidInput);
}

// What the first version wrote: its tokens stay good.
TEST_F(AccountsTest, TokensOfTheFirstVersionAreTaken) {
  std::string secret;
  {
    Accounts accounts = open();
    secret = accounts.create("x", "run", "acc", 1)->secret;
  }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ + "/accounts.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db,
                         "CREATE TABLE old (id TEXT PRIMARY KEY, hash TEXT NOT NULL, name TEXT NOT NULL,"
                         " scope TEXT NOT NULL CHECK (scope IN ('inference', 'admin')), account TEXT NOT NULL, created_ms INTEGER NOT NULL,"
                         " revoked_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
                         "INSERT INTO old SELECT id, hash, name, 'inference', account, created_ms, revoked_ms FROM tokens;"
                         "DROP TABLE tokens; ALTER TABLE old RENAME TO tokens; DROP TABLE settings; DROP TABLE notes; DROP TABLE token_uses; PRAGMA user_version=1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
  Accounts accounts = open();
  auto token = accounts.verify(secret, 10);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->scope, "run");
  EXPECT_EQ(token->account, "acc");
}

TEST_F(AccountsTest, SettingsAreSetTakenBackAndSeenByAServerAtOnce) {
  Accounts server = open(), command = open();
  EXPECT_FALSE((*server.settings("a"))->daily_neurons);
  Settings changes;
  changes.daily_neurons = 5;
  changes.concurrency = 2;
  changes.rates["text-generation"] = 7;
  ASSERT_TRUE(command.set("a", changes, 5));
  EXPECT_EQ((*server.settings("a"))->daily_neurons, 5);
  EXPECT_EQ((*server.settings("a"))->rates.at("text-generation"), 7);
  EXPECT_EQ((*command.settings("a"))->concurrency, 2);
  Settings more;
  more.daily_neurons = Settings::kUnset;
  more.rates["text-generation"] = Settings::kUnset;
  more.rates["text-embeddings"] = Settings::kUnlimited;
  ASSERT_TRUE(command.set("a", more, 6));
  EXPECT_FALSE((*server.settings("a"))->daily_neurons);
  EXPECT_EQ((*server.settings("a"))->concurrency, 2) << "what is not named stays";
  EXPECT_EQ((*server.settings("a"))->rates.size(), 1u);
  EXPECT_EQ(*command.remove("a", 7), true);
  EXPECT_EQ(*command.remove("a", 7), false);
  EXPECT_TRUE((*server.all_settings())->empty());
  EXPECT_EQ(command.set("no such/id", changes, 5).error().code, Code::InvalidInput);
  EXPECT_EQ(command.set("", changes, 5).error().code, Code::InvalidInput);
}

TEST_F(AccountsTest, ATokenMadeByAnotherProcessCountsAtOnce) {
  Accounts server = open(), command = open();
  EXPECT_FALSE(*server.tokens_required());
  auto made = command.create("x", "admin", "acc", 7);
  ASSERT_TRUE(made);
  EXPECT_TRUE(*server.tokens_required());
  auto token = server.verify(made->secret, 10);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->id, made->token.id);
  EXPECT_EQ(token->scope, "admin");
  EXPECT_EQ(token->account, "acc");
  EXPECT_EQ(token->created_ms, 7);
}

// Without a wait: what is as old as an hour is good enough here, so that the files are asked once.
TEST_F(AccountsTest, AServerLooksNowAndThenAndRefusesRevokedTokensAtOnce) {
  Accounts server = open(), command = open();
  server.look_every(3'600'000);
  auto made = command.create("x", "admin", "acc", 7);
  ASSERT_TRUE(made);
  EXPECT_TRUE(*server.tokens_required());
  EXPECT_TRUE(server.verify(made->secret, 10));
  EXPECT_FALSE((*server.settings("a"))->daily_neurons);
  Settings changes;
  changes.daily_neurons = 5;
  ASSERT_TRUE(command.set("a", changes, 5));
  EXPECT_FALSE((*server.settings("a"))->daily_neurons) << "looked at a moment ago";
  ASSERT_TRUE(server.set("b", changes, 6));
  EXPECT_EQ((*server.settings("b"))->daily_neurons, 5) << "its own changes it knows";
  ASSERT_TRUE(command.revoke(made->token.id, 11));
  EXPECT_FALSE(server.verify(made->secret, 12));
}

TEST_F(AccountsTest, WhatAServerMakesItselfCountsAtOnce) {
  Accounts server = open();
  server.look_every(3'600'000);
  EXPECT_FALSE(*server.tokens_required());
  ASSERT_TRUE(server.create("x", "admin", "acc", 7));
  EXPECT_TRUE(*server.tokens_required());
}

// Promises: AC1, AC2.
TEST_F(AccountsTest, RevokedIsRefusedAndTokensStayRequired) {
  Accounts accounts = open();
  auto made = accounts.create("x", "inference", "", 1);
  ASSERT_TRUE(accounts.verify(made->secret, 10));
  auto revoked = accounts.revoke(made->token.id, 9);
  ASSERT_TRUE(revoked);
  EXPECT_EQ(revoked->revoked_ms, 9);
  EXPECT_EQ(accounts.verify(made->secret, 10).error().code, Code::Unauthenticated);
  EXPECT_EQ(accounts.revoke(made->token.id, 20)->revoked_ms, 9);
  EXPECT_TRUE(*accounts.tokens_required());
  EXPECT_TRUE(*open().tokens_required());
}

// A1, whatever becomes of the database: once tokens existed the server is closed until somebody says otherwise.
// Promises: AC1.
TEST_F(AccountsTest, ALostDatabaseDoesNotOpenTheServer) {
  const std::string path = folder_ + "/accounts.db";
  { ASSERT_TRUE(open().create("a", "run", "", 1)); }
  fs::copy_file(path, folder_ + "/backup");
  const auto empty_table = [&] {
    sqlite3* db = nullptr;
    sqlite3_open(path.c_str(), &db);
    EXPECT_EQ(sqlite3_exec(db, "DELETE FROM tokens", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
  };
  for (const std::function<void()>& lose : std::initializer_list<std::function<void()>>{[&] { fs::remove(path); }, [&] { fs::resize_file(path, 0); }, empty_table}) {
    lose();
    Accounts accounts = open();
    const auto required = accounts.tokens_required();
    ASSERT_FALSE(required);
    EXPECT_EQ(required.error().code, Code::Forbidden);
    EXPECT_NE(required.error().message.find("verge token create"), std::string::npos);
    EXPECT_EQ(required.error().message.find(folder_), std::string::npos) << "clients may read it";
    fs::copy_file(folder_ + "/backup", path, fs::copy_options::overwrite_existing);
  }
  EXPECT_TRUE(*open().tokens_required()) << "a backup is one way to go on";
  fs::remove(path);
  ASSERT_TRUE(open().create("b", "run", "", 2));
  EXPECT_TRUE(*open().tokens_required()) << "a new token is another";
  fs::remove(path);
  fs::remove(folder_ + "/tokens-required");
  EXPECT_FALSE(*open().tokens_required()) << "and so is to say that none are wanted";
}

TEST_F(AccountsTest, AFolderOfBeforeTheMarkerGetsOne) {
  { ASSERT_TRUE(open().create("a", "run", "", 1)); }
  fs::remove(folder_ + "/tokens-required");
  EXPECT_TRUE(*open().tokens_required());
  fs::remove(folder_ + "/accounts.db");
  EXPECT_FALSE(open().tokens_required());
}

TEST_F(AccountsTest, WhileItRunsRemovalChangesNothingAndAnotherDatabaseCounts) {
  const std::string path = folder_ + "/accounts.db";
  Accounts server = open();
  const std::string first = server.create("a", "run", "", 1)->secret;
  fs::rename(path, folder_ + "/old");
  EXPECT_TRUE(*server.tokens_required());
  EXPECT_TRUE(server.verify(first, 10));
  const auto second = open().create("b", "run", "", 2);
  EXPECT_TRUE(*server.tokens_required());
  EXPECT_FALSE(server.verify(first, 10));
  EXPECT_TRUE(server.verify(second->secret, 10));
  ASSERT_TRUE(open().revoke(second->token.id, 3));
  EXPECT_FALSE(server.verify(second->secret, 10));
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
    auto token = accounts.verify(bad, 10);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, Code::Unauthenticated);
  }
  EXPECT_TRUE(accounts.verify(good, 10));
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

// Promises: AC2.
TEST_F(AccountsTest, AnExpiredTokenIsRefused) {
  Accounts accounts = open();
  const std::string secret = accounts.create("x", "run", "", 1, 100)->secret;
  EXPECT_TRUE(accounts.verify(secret, 99));
  EXPECT_EQ(accounts.verify(secret, 100).error().code, Code::Unauthenticated);
  EXPECT_EQ(accounts.list()->front().expires_ms, 100);
}

TEST_F(AccountsTest, MetricsIsAScopeOfItsOwn) {
  Accounts accounts = open();
  const Token metrics = *accounts.verify(accounts.create("x", "metrics", "", 1)->secret, 10), read = *accounts.verify(accounts.create("x", "read", "", 1)->secret, 10),
              admin = *accounts.verify(accounts.create("x", "admin", "", 1)->secret, 10);
  for (const char* more : {"read", "run", "admin"}) EXPECT_FALSE(metrics.allows(more));
  EXPECT_TRUE(metrics.allows("metrics"));
  EXPECT_FALSE(read.allows("metrics"));
  EXPECT_TRUE(admin.allows("metrics"));
}

// A use is no write: they are written together, and the newest stays.
TEST_F(AccountsTest, TheLastUseIsWrittenNowAndThen) {
  Accounts accounts = open();
  const std::string secret = accounts.create("x", "run", "", 1)->secret;
  const auto before = *accounts.generation();
  ASSERT_TRUE(accounts.verify(secret, 50));
  ASSERT_TRUE(accounts.verify(secret, 60));
  EXPECT_EQ(open().list()->front().used_ms, 0);
  EXPECT_EQ(accounts.write_uses()->size(), 1u);
  EXPECT_TRUE(accounts.write_uses()->empty());
  EXPECT_EQ(open().list()->front().used_ms, 60);
  ASSERT_TRUE(accounts.merge_uses({{accounts.list()->front().id, 40}, {"000000000000", 70}}));
  EXPECT_EQ(open().list()->front().used_ms, 60);
  EXPECT_EQ(*accounts.generation(), before) << "nothing that a cluster must be told";
}

TEST_F(AccountsTest, LimitsOfTheVersionBeforeAreTaken) {
  {
    Accounts accounts = open();
  }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ + "/accounts.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db,
                         "DROP TABLE settings; DROP TABLE notes; DROP TABLE token_uses; DROP TABLE tokens;"
                         "CREATE TABLE tokens (id TEXT PRIMARY KEY, hash TEXT NOT NULL, name TEXT NOT NULL, scope TEXT NOT NULL CHECK (scope IN ('read', 'run', 'admin')),"
                         " account TEXT NOT NULL, created_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
                         "CREATE TABLE accounts (id TEXT PRIMARY KEY, daily_neurons INTEGER, concurrency INTEGER) STRICT;"
                         "CREATE TABLE account_rates (account TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, task TEXT NOT NULL, per_minute INTEGER NOT NULL,"
                         " PRIMARY KEY (account, task)) STRICT;"
                         "INSERT INTO tokens VALUES ('0123456789ab', 'h', 'old', 'run', '', 7, 9);"
                         "INSERT INTO accounts VALUES ('a', 5, NULL); INSERT INTO account_rates VALUES ('a', 'text-generation', -1); PRAGMA user_version=2",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
  Accounts accounts = open();
  EXPECT_EQ((*accounts.settings("a"))->daily_neurons, 5);
  EXPECT_FALSE((*accounts.settings("a"))->concurrency);
  EXPECT_EQ((*accounts.settings("a"))->rates.at("text-generation"), Settings::kUnlimited);
  EXPECT_EQ(accounts.list()->front().revoked_ms, 9);
}

}  // namespace
}  // namespace verge::accounts
