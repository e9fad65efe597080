#include "cluster/identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cluster/certificate.h"
#include "cluster/identity_check.h"
#include "cluster/nkey.h"
#include "support/clock.h"

namespace verge::cluster {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class IdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("verge_cluster_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(IdentityTest, InitAndJoin) {
  ASSERT_TRUE(init_cluster(folder_, {"nats.example", "10.0.0.1"}, unix_ms()));
  auto again = init_cluster(folder_, {}, unix_ms());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::InvalidInput);

  auto joined = join_cluster(folder_, {"eu-1", "eu", "node", ""}, folder_ + "/out", unix_ms());
  ASSERT_TRUE(joined) << joined.error().message;
  auto identity = read_identity(folder_ + "/out");
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->member.name, "eu-1");
  EXPECT_EQ(identity->member.region, "eu");
  struct stat info{};
  for (const std::string& secret : {identity->key(), identity->nkey(), folder_ + "/ca.key"}) {
    ASSERT_EQ(::stat(secret.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << secret;
  }
  auto key = nkey_of_seed(read(identity->nkey()));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->public_key, identity->member.public_key);
  EXPECT_NE(read(folder_ + "/nats/users.conf").find(key->public_key), std::string::npos);
  EXPECT_EQ(read(folder_ + "/nats/users.conf").find(key->seed), std::string::npos);

  // A name is given once; a folder of keys is never overwritten.
  EXPECT_FALSE(join_cluster(folder_, {"eu-1", "eu", "node", ""}, folder_ + "/out2", unix_ms()));
  EXPECT_FALSE(join_cluster(folder_, {"eu-2", "eu", "node", ""}, folder_ + "/out", unix_ms()));
  EXPECT_FALSE(join_cluster(folder_, {"EU", "eu", "node", ""}, folder_ + "/out3", unix_ms()));
  EXPECT_FALSE(join_cluster(folder_, {"eu-3", "eu", "king", ""}, folder_ + "/out3", unix_ms()));
  EXPECT_FALSE(join_cluster(folder_ + "/nothing", {"eu-3", "eu", "node", ""}, folder_ + "/out3", unix_ms()));
}

TEST_F(IdentityTest, AMissingFileIsNamed) {
  ASSERT_TRUE(init_cluster(folder_, {}, unix_ms()));
  ASSERT_TRUE(join_cluster(folder_, {"eu-1", "eu", "node", ""}, folder_ + "/out", unix_ms()));
  std::filesystem::remove(folder_ + "/out/node.crt");
  auto identity = read_identity(folder_ + "/out");
  ASSERT_FALSE(identity);
  EXPECT_NE(identity.error().message.find("node.crt"), std::string::npos);
}

// Clocks: before a certificate is valid, and after.
TEST_F(IdentityTest, CertificatesOfAnotherTimeAreNamed) {
  const int64_t now = unix_ms(), day = 86'400'000;
  ASSERT_TRUE(init_cluster(folder_, {}, now));
  auto made = join_cluster(folder_, {"eu-1", "eu", "node", ""}, folder_ + "/out", now);
  ASSERT_TRUE(made);
  EXPECT_TRUE(check_identity(*made, "node", now));
  const auto early = check_identity(*made, "node", now - 3 * day), late = check_identity(*made, "node", now + 6 * 365 * day);
  ASSERT_FALSE(early);
  EXPECT_NE(early.error().message.find("set the clock"), std::string::npos) << early.error().message;
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().message.find("verge cluster renew FOLDER --name eu-1"), std::string::npos) << late.error().message;
  // Renewed it is good again, with the key that NATS knows.
  const std::string seed = read(made->nkey()), users = read(folder_ + "/nats/users.conf");
  ASSERT_TRUE(renew_member(folder_, "eu-1", folder_ + "/out", now + 6 * 365 * day));
  EXPECT_TRUE(check_identity(*read_identity(folder_ + "/out"), "node", now + 6 * 365 * day));
  EXPECT_EQ(read(made->nkey()), seed);
  EXPECT_EQ(read(folder_ + "/nats/users.conf"), users);
  EXPECT_EQ(renew_member(folder_, "eu-2", folder_ + "/out", now).error().code, Code::NotFound);
}

TEST_F(IdentityTest, TheNatsServersCertificateIsRenewedWithItsNames) {
  ASSERT_TRUE(init_cluster(folder_, {"nats.example", "10.0.0.1"}, 1'700'000'000'000));
  const auto before = *read_certificate(folder_ + "/nats/server.crt");
  ASSERT_TRUE(renew_nats(folder_, 1'800'000'000'000));
  const auto after = *read_certificate(folder_ + "/nats/server.crt");
  EXPECT_EQ(after.names, before.names);
  EXPECT_EQ(after.names, (std::vector<std::string>{"nats.verge", "nats.example", "10.0.0.1"}));
  EXPECT_EQ(after.not_after_s - before.not_after_s, 100'000'000);
  EXPECT_TRUE(check_pair(folder_ + "/ca.crt", folder_ + "/nats/server.crt", folder_ + "/nats/server.key"));
}

TEST(NatsUsers, EachMayAnnounceItselfAlone) {
  const std::string users = nats_users({{"eu-1", "eu", "node", "UAAA"}, {"gw", "eu", "gateway", "UBBB"}});
  EXPECT_NE(users.find("verge.node.eu.eu-1.hb"), std::string::npos);
  EXPECT_EQ(users.find("verge.node.eu.gw.hb"), std::string::npos);
  EXPECT_EQ(users.find("no_auth_user"), std::string::npos);
  // A node has no say in quotas and no part in usage.
  const std::string node = users.substr(0, users.find("UBBB")).substr(users.find("UAAA"));
  EXPECT_EQ(node.find("$KV.verge_quota"), std::string::npos);
  EXPECT_EQ(node.find("verge.usage"), std::string::npos);
  const std::string gateway = users.substr(users.find("UBBB")), hears = gateway.substr(gateway.find("subscribe"));
  EXPECT_NE(gateway.find("\"verge.usage.gw\", \"verge.usage.gw.*\""), std::string::npos);
  EXPECT_NE(hears.find("\"verge.usage.*\", \"verge.usage.*.gw\""), std::string::npos);
}

// The pair of nkeys.go's README and tests.
TEST(Nkey, KnownPair) {
  auto key = nkey_of_seed("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY");
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->public_key, "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4");
  EXPECT_EQ(key->seed, "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY");
}

TEST(Nkey, DamageIsSeen) {
  auto key = make_user_nkey();
  ASSERT_TRUE(key);
  EXPECT_EQ(key->seed.substr(0, 2), "SU");
  EXPECT_EQ(key->public_key[0], 'U');
  auto again = nkey_of_seed(key->seed + "\n");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_key, key->public_key);
  for (size_t i = 0; i < key->seed.size(); ++i) {
    std::string bad = key->seed;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    // The last letter carries bits that stand for nothing.
    if (i + 1 < bad.size()) {
      EXPECT_FALSE(nkey_of_seed(bad)) << i;
    }
  }
  EXPECT_FALSE(nkey_of_seed(""));
  EXPECT_FALSE(nkey_of_seed(key->public_key));
}

}  // namespace
}  // namespace verge::cluster
