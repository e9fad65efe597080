#include "cluster/account_gossip.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include <filesystem>

#include "cluster/account_messages.h"
#include "lossy_bus.h"
#include "support/clock.h"

namespace verge::cluster {
namespace {

namespace fs = std::filesystem;
using accounts::Accounts;
using testing::LossyBus;
using testing::Wire;

constexpr int kTickMs = 5;

// Gateways of one cluster in one process, each with a data folder.
class AccountGossipTest : public ::testing::Test {
 protected:
  struct Gateway {
    Gateway(Wire& wire, const std::string& root, const std::string& name) : folder(root + "/" + name), name(name), bus(wire, name) {
      fs::create_directories(folder);
      accounts.emplace(std::move(*Accounts::open(folder)));
      EXPECT_TRUE(accounts->join(name, "cluster"));
    }
    // The same as `verge token` and `verge account` in a process of their own.
    Accounts command() const { return std::move(*Accounts::open(folder)); }
    std::string folder, name;
    LossyBus bus;
    std::optional<Accounts> accounts;
    std::shared_ptr<AccountGossip> gossip;
  };

  AccountGossipTest() {
    std::string pattern = (fs::temp_directory_path() / "verge-gossip-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  ~AccountGossipTest() override {
    for (auto& [name, gateway] : gateways_) gateway->gossip->stop();
    io_.restart();
    io_.poll();
    gateways_.clear();
    fs::remove_all(root_);
  }

  Gateway& start(const std::string& name) {
    auto gateway = std::make_unique<Gateway>(wire_, root_, name);
    AccountGossipOptions options;
    options.name = name;
    options.tick_ms = kTickMs;
    gateway->gossip = AccountGossip::make(io_.get_executor(), gateway->bus, *gateway->accounts, options);
    return *(gateways_[name] = std::move(gateway));
  }
  void stop(const std::string& name) {
    gateways_.at(name)->gossip->stop();
    io_.restart();
    io_.poll();
    gateways_.erase(name);
  }

  bool until(const std::function<bool()>& done) {
    for (int i = 0; i < 20'000; ++i) {
      if (done()) return true;
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(kTickMs));
    }
    return done();
  }
  bool same() {
    std::optional<accounts::Digests> first;
    for (auto& [name, gateway] : gateways_) {
      const auto digests = accounts::digests_of(*gateway->accounts->records());
      if (first && *first != digests) return false;
      first = digests;
    }
    return true;
  }
  static std::string made(Gateway& gateway, const std::string& name, int64_t expires_ms = 0) {
    return gateway.command().create(name, "run", "", unix_ms(), expires_ms)->secret;
  }
  static std::string id_of(const std::string& secret) { return secret.substr(4, 12); }
  bool good(const std::string& gateway, const std::string& secret) { return gateways_.at(gateway)->accounts->verify(secret, unix_ms()).ok(); }

  boost::asio::io_context io_{1};
  Wire wire_{io_, 7};
  std::map<std::string, std::unique_ptr<Gateway>> gateways_;
  std::string root_;
};

TEST_F(AccountGossipTest, WhatIsMadeAtOneIsKnownAtAllAndSoIsItsEnd) {
  for (const char* name : {"a", "b", "c"}) start(name);
  const std::string secret = made(*gateways_["a"], "ci");
  EXPECT_TRUE(until([&] { return good("b", secret) && good("c", secret); }));
  ASSERT_TRUE(gateways_["c"]->command().revoke(id_of(secret), unix_ms()));
  EXPECT_TRUE(until([&] { return !good("a", secret) && !good("b", secret); }));
  accounts::Settings limit;
  limit.concurrency = 3;
  ASSERT_TRUE(gateways_["b"]->command().set("acc", limit, unix_ms()));
  EXPECT_TRUE(until([&] { return (*gateways_["a"]->accounts->settings("acc"))->concurrency == 3; }));
  ASSERT_TRUE(*gateways_["a"]->command().remove("acc", unix_ms()));
  EXPECT_TRUE(until([&] { return !(*gateways_["c"]->accounts->settings("acc"))->concurrency; }));
  EXPECT_TRUE(until([&] { return same(); }));
}

// Promises: K3.
TEST_F(AccountGossipTest, NoSecretIsOnTheBus) {
  std::string heard;
  LossyBus ear(wire_, "ear");
  ear.subscribe("verge.accounts.*", [&](const Message& message) { heard += message.payload; });
  for (const char* name : {"a", "b"}) start(name);
  const std::string secret = made(*gateways_["a"], "ci");
  EXPECT_TRUE(until([&] { return good("b", secret); }));
  EXPECT_TRUE(until([&] { return heard.find(id_of(secret)) != std::string::npos; }));
  EXPECT_EQ(heard.find(secret.substr(17)), std::string::npos);
}

// K1, on a bus that loses half of all messages, repeats and reorders the others.
// Promises: K1.
TEST_F(AccountGossipTest, LostMessagesOnlyDelay) {
  wire_.loss = 0.5;
  wire_.repeat = 0.2;
  wire_.delay_ms = 3 * kTickMs;
  for (const char* name : {"a", "b", "c"}) start(name);
  std::vector<std::string> secrets;
  for (int i = 0; i < 12; ++i) secrets.push_back(made(*gateways_[std::string(1, static_cast<char>('a' + i % 3))], std::to_string(i)));
  EXPECT_TRUE(until([&] { return same() && gateways_["a"]->accounts->list()->size() == secrets.size(); }));
}

// Both sides change the same things while they do not hear each other; a revocation is one of the changes.
// Promises: K1.
TEST_F(AccountGossipTest, APartitionEndsInOneState) {
  for (const char* name : {"a", "b", "c"}) start(name);
  const std::string secret = made(*gateways_["a"], "ci");
  ASSERT_TRUE(until([&] { return good("b", secret) && good("c", secret); }));
  wire_.cut("a", "b");
  wire_.cut("a", "c");
  ASSERT_TRUE(gateways_["a"]->command().revoke(id_of(secret), unix_ms()));
  const std::string alone = made(*gateways_["a"], "alone"), together = made(*gateways_["b"], "together");
  accounts::Settings here, there;
  here.rates["text-generation"] = 10;
  here.concurrency = 1;
  there.rates["text-generation"] = 20;
  ASSERT_TRUE(gateways_["a"]->command().set("acc", here, 1000));
  ASSERT_TRUE(gateways_["b"]->command().set("acc", there, 2000));
  EXPECT_TRUE(until([&] { return good("c", together); }));
  EXPECT_TRUE(good("c", secret)) << "cut off from who revoked it";
  wire_.heal();
  EXPECT_TRUE(until([&] { return same() && !good("b", secret) && !good("c", secret) && good("a", together) && good("c", alone); }));
  const auto settings = *gateways_["a"]->accounts->settings("acc");
  EXPECT_EQ(settings->rates.at("text-generation"), 20) << "the last writer";
  EXPECT_EQ(settings->concurrency, 1) << "which nobody changed there";
}

// A gateway that was away when a token was revoked does not bring it back, nor one whose database is an old copy.
TEST_F(AccountGossipTest, ARevocationIsNotUndoneByWhoComesBack) {
  for (const char* name : {"a", "b"}) start(name);
  const std::string secret = made(*gateways_["a"], "ci");
  ASSERT_TRUE(until([&] { return good("b", secret); }));
  stop("b");
  fs::copy_file(root_ + "/b/accounts.db", root_ + "/old");
  ASSERT_TRUE(gateways_["a"]->command().revoke(id_of(secret), unix_ms()));
  start("b");
  EXPECT_TRUE(until([&] { return !good("b", secret); }));
  EXPECT_FALSE(good("a", secret));
  stop("b");
  fs::copy_file(root_ + "/old", root_ + "/b/accounts.db", fs::copy_options::overwrite_existing);
  start("b");
  EXPECT_TRUE(until([&] { return !good("b", secret); }));
  EXPECT_FALSE(good("a", secret));
}

TEST_F(AccountGossipTest, AGatewayThatJoinsLateGetsAll) {
  start("a");
  std::vector<std::string> secrets;
  accounts::Records many;
  for (int i = 0; i < 3000; ++i) many.tokens.push_back({fmt::format("{:012x}", i), accounts::token_hash(std::to_string(i)), "", "run", "", 1, 0, 0});
  ASSERT_TRUE(gateways_["a"]->accounts->merge(many));
  start("b");
  EXPECT_TRUE(until([&] { return gateways_["b"]->accounts->records()->tokens.size() == 3000u; }));
}

TEST_F(AccountGossipTest, WhatIsKnownIsOnTheDiskAndCountsWithoutTheBus) {
  for (const char* name : {"a", "b"}) start(name);
  const std::string secret = made(*gateways_["a"], "ci");
  ASSERT_TRUE(until([&] { return good("b", secret); }));
  stop("a");
  stop("b");
  start("b").bus.up = false;
  EXPECT_TRUE(good("b", secret));
  EXPECT_TRUE(*gateways_["b"]->accounts->tokens_required());
}

// A3, K2.
// Promises: K2, AC3.
TEST_F(AccountGossipTest, WhoHasNotHeardLetsNobodyIn) {
  const auto required = [&](const std::string& name) { return gateways_.at(name)->accounts->tokens_required(); };
  start("a");
  ASSERT_FALSE(required("a")) << "before anything was heard";
  EXPECT_EQ(required("a").error().code, Code::WorkerGone);
  EXPECT_TRUE(until([&] { return required("a").ok(); }));
  EXPECT_FALSE(*required("a")) << "the first of an open cluster";
  made(*gateways_["a"], "ci");
  EXPECT_TRUE(until([&] { return wire_.values.contains("verge_quota/tokens-required"); }));
  // It hears nobody, and reads the record. Nor does losing the tokens' gateway open the cluster.
  stop("a");
  start("b");
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(required("b").ok() && !*required("b"));
    io_.restart();
    io_.run_one_for(std::chrono::milliseconds(kTickMs));
  }
  EXPECT_TRUE(gateways_["b"]->accounts->closed());
  // With no bus at all it stays so. What an open gateway once heard it goes on with.
  start("c").bus.up = false;
  for (int i = 0; i < 50; ++i) {
    io_.restart();
    io_.run_one_for(std::chrono::milliseconds(kTickMs));
  }
  EXPECT_FALSE(required("c"));
}

TEST_F(AccountGossipTest, AnOpenClusterThatWasHeardIsServedWithoutTheBus) {
  start("a");
  ASSERT_TRUE(until([&] { return gateways_["a"]->accounts->tokens_required().ok(); }));
  stop("a");
  start("a").bus.up = false;
  EXPECT_TRUE(gateways_["a"]->accounts->tokens_required().ok());
  // Another cluster's word is not this one's.
  ASSERT_TRUE(gateways_["a"]->accounts->join("a", "another"));
  EXPECT_FALSE(gateways_["a"]->accounts->tokens_required().ok());
}

TEST_F(AccountGossipTest, TheLastUseIsTold) {
  for (const char* name : {"a", "b"}) start(name);
  const std::string secret = made(*gateways_["a"], "ci");
  ASSERT_TRUE(until([&] { return good("b", secret); }));
  const auto news = gateways_["b"]->accounts->write_uses();
  ASSERT_TRUE(news);
  gateways_["b"]->gossip->tell_uses(*news);
  EXPECT_TRUE(until([&] { return gateways_["a"]->accounts->list()->front().used_ms > 0; }));
}

TEST(AccountMessages, WhatIsWrongIsLeftOut) {
  accounts::Records one;
  one.tokens.push_back({"0123456789ab", std::string(64, 'a'), "x", "run", "acc", 1, 2, 3});
  one.settings.push_back({"acc", "rate:text-generation", -1, 4, "gw"});
  const std::string good = encode(AccountRecords{one, 3, 77}).front();
  auto read = decode_accounts(good, "gw");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(std::get<AccountRecords>(*read).records.tokens, one.tokens);
  EXPECT_EQ(std::get<AccountRecords>(*read).records.settings, one.settings);
  EXPECT_EQ(std::get<AccountRecords>(*read).digest, 77u);
  for (const auto& [from, to] : {std::pair{"\"run\"", "\"root\""}, {"0123456789ab", "0123456789"}, {"aaaa", "AAAA"}, {"rate:text-generation", "rate:"}, {"\"v\":1", "\"v\":2"},
                                 {"\"v\":1", "\"v\":0"}, {"\"part\":3", "\"part\":64"}, {"\"created_ms\":1", "\"created_ms\":-1"}, {"\"value\":-1", "\"value\":-2"}, {"\"acc\"", "\"a.c\""}}) {
    std::string bad = good;
    bad.replace(bad.find(from), std::string_view(from).size(), to);
    EXPECT_FALSE(decode_accounts(bad, "gw")) << bad;
  }
  for (const char* bad : {"", "[]", "{}", "{\"v\":1}", "{\"v\":1,\"digests\":[\"1\"],\"closed\":true}", "{\"v\":1,\"used\":{\"x\":1}}"}) EXPECT_FALSE(decode_accounts(bad, "gw")) << bad;
  EXPECT_TRUE(decode_accounts(encode(AccountDigests{{}, true}), "gw"));
  EXPECT_FALSE(parse_account_subject("verge.accounts.a.b"));
  EXPECT_FALSE(parse_account_subject("verge.accounts.A"));
  EXPECT_EQ(parse_account_subject("verge.accounts.eu-gw"), "eu-gw");
}

}  // namespace
}  // namespace verge::cluster
