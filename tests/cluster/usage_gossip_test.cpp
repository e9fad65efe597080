// Gateways with books on disk and a bus that loses things: after whatever happened, every book is the union of all, each row once.
#include "cluster/usage_gossip.h"

#include <sqlite3.h>

#include "accounts/ledger.h"
#include "cluster/usage_messages.h"
#include "support/clock.h"
#include "support/log.h"
#include "tests/accounts/folder.h"
#include "tests/cluster/lossy_bus.h"

namespace verge::cluster {
namespace {

using accounts::Ledger;
using accounts::UsageBook;
using testing::LossyBus;
using testing::Wire;

constexpr int kTickMs = 10;
constexpr int kPatienceMs = 60'000;

struct Gateway {
  std::string name, folder;
  std::unique_ptr<LossyBus> bus;
  std::unique_ptr<Ledger> ledger;
  std::shared_ptr<UsageGossip> gossip;
};

class UsageGossipTest : public accounts::testing::FolderTest {
 protected:
  UsageGossipTest() : wire_(io_, 7) { log::configure(log::Level::Off, log::Format::Text, "test"); }
  ~UsageGossipTest() override {
    for (auto& [name, gateway] : gateways_) kill(name);
  }

  void start(const std::string& name) {
    Gateway& gateway = gateways_[name];
    gateway.name = name;
    gateway.folder = folder_ + "/" + name;
    gateway.bus = std::make_unique<LossyBus>(wire_, name);
    auto ledger = Ledger::open(io_.get_executor(), gateway.folder, {name, true});
    ASSERT_TRUE(ledger) << ledger.error().message;
    gateway.ledger = std::move(*ledger);
    UsageGossipOptions options;
    options.name = name;
    options.tick_ms = kTickMs;
    auto gossip = UsageGossip::make(io_.get_executor(), *gateway.bus, *gateway.ledger, std::move(options));
    ASSERT_TRUE(gossip) << gossip.error().message;
    gateway.gossip = std::move(*gossip);
  }
  // Without a last word.
  void kill(const std::string& name) {
    Gateway& gateway = gateways_[name];
    if (!gateway.gossip) return;
    gateway.bus->up = false;
    end(gateway);
  }
  void terminate(const std::string& name) { end(gateways_[name]); }
  void end(Gateway& gateway) {
    gateway.gossip->stop();
    gateway.gossip.reset();
    pump(20);  // what was under way
    gateway.ledger.reset();
    gateway.bus.reset();
  }

  // Rows that are on the gateway's disk when it returns.
  void write(const std::string& name, int count) {
    Ledger& ledger = *gateways_[name].ledger;
    for (int i = 0; i < count; ++i) {
      UsageRow row;
      row.id = "id-" + std::to_string(++written_);
      row.time_ms = 20'000 * accounts::kDayMs;
      row.account = written_ % 3 ? "a" : "b";
      row.model = "@x/m";
      row.task = "text-generation";
      row.node = "n";
      row.outcome = written_ % 7 ? "ok" : "aborted";
      row.neurons = written_;
      row.usage.prompt_tokens = written_ % 11;
      row.usage.completion_tokens = 1;
      neurons_ += row.neurons;
      ledger.add(std::move(row));
    }
    while (ledger.unwritten() > 0) pump(1);
  }

  void pump(int ms) {
    io_.restart();
    io_.run_for(std::chrono::milliseconds(ms));
  }

  std::vector<UsageRow> rows(const std::string& of, const std::string& with) {
    auto book = UsageBook::open(folder_ + "/" + with);
    return *book->rows_after(of, {}, 1'000'000);
  }
  // Whether everybody who is up has what everybody's own book has.
  bool together() {
    for (const auto& [owner, one] : gateways_)
      for (const auto& [reader, other] : gateways_)
        if (other.gossip && rows(owner, reader) != rows(owner, owner)) return false;
    return true;
  }
  void come_together() {
    const int64_t began = monotonic_ms();
    while (!together() && monotonic_ms() - began < kPatienceMs) pump(20);
    ASSERT_TRUE(together());
    pump(10 * kTickMs);  // and it stays so
    for (const auto& [name, gateway] : gateways_) {
      if (!gateway.gossip) continue;
      auto lines = gateway.ledger->report({});
      ASSERT_EQ(lines->size(), written_ > 0 ? 1u : 0u);
      if (written_ == 0) continue;
      EXPECT_EQ(lines->front().requests, written_) << name;
      EXPECT_EQ(lines->front().neurons, neurons_) << name;
      EXPECT_EQ(lines->front().usage.completion_tokens, written_) << name;
    }
  }

  Wire wire_;
  std::map<std::string, Gateway> gateways_;
  int64_t written_ = 0, neurons_ = 0;
};

TEST_F(UsageGossipTest, EveryGatewayHasAllRows) {
  for (const char* name : {"a", "b", "c"}) start(name);
  write("a", 3), write("b", 500), write("c", 1);
  come_together();
  write("a", 1);
  come_together();
  accounts::UsageQuery query;
  query.by_gateway = true;
  const auto lines = gateways_["c"].ledger->report(query);
  ASSERT_EQ(lines->size(), 3u);
  EXPECT_EQ((*lines)[1].gateway, "b");
  EXPECT_EQ((*lines)[1].requests, 500);
  EXPECT_EQ(*gateways_["c"].ledger->own_neurons_of("a", 20'000) + *gateways_["c"].ledger->own_neurons_of("b", 20'000), 504) << "others' spending is no spending of this one";
}

// Promises: UG1.
TEST_F(UsageGossipTest, MessagesAreLostRepeatedAndOutOfOrder) {
  wire_.loss = 0.3;
  wire_.repeat = 0.2;
  wire_.delay_ms = 3 * kTickMs;
  for (const char* name : {"a", "b", "c", "d"}) start(name);
  for (int round = 0; round < 20; ++round) {
    for (const char* name : {"a", "b", "c", "d"}) write(name, round * 3 % 17);
    pump(kTickMs);
  }
  come_together();
}

// Promises: UG1, UG2.
TEST_F(UsageGossipTest, AGatewayDiesAndComesBack) {
  for (const char* name : {"a", "b", "c"}) start(name);
  write("a", 10);
  come_together();
  write("a", 7);  // committed, and nobody was told
  kill("a");
  write("b", 5);
  pump(10 * kTickMs);
  kill("c");
  write("b", 5);
  start("a");
  write("a", 2);
  start("c");
  come_together();
  // All of them at once, again and again.
  for (int round = 0; round < 5; ++round) {
    for (const char* name : {"a", "b", "c"}) write(name, 40), kill(name);
    for (const char* name : {"c", "a", "b"}) start(name);
    pump(round * kTickMs);
  }
  come_together();
}

// Promises: UG2.
TEST_F(UsageGossipTest, WhatWasSentIsThereThoughItsGatewayIsGone) {
  for (const char* name : {"a", "b"}) start(name);
  write("a", 10);
  come_together();
  kill("a");
  EXPECT_EQ(rows("a", "b").size(), 10u);
  kill("b");
  start("b");
  EXPECT_EQ(gateways_["b"].ledger->report({})->front().requests, 10);
}

TEST_F(UsageGossipTest, TheLastWordTellsTheRest) {
  for (const char* name : {"a", "b"}) start(name);
  come_together();
  write("a", 10);
  terminate("a");
  pump(200);
  EXPECT_EQ(rows("a", "b").size(), 10u);
}

TEST_F(UsageGossipTest, AClusterIsCutInTwo) {
  for (const char* name : {"a", "b", "c", "d"}) start(name);
  write("a", 5), write("d", 5);
  come_together();
  for (const char* one : {"a", "b"})
    for (const char* other : {"c", "d"}) wire_.cut(one, other);
  for (const char* name : {"a", "b", "c", "d"}) write(name, 300);
  pump(20 * kTickMs);
  EXPECT_EQ(rows("a", "b").size(), 305u);
  EXPECT_EQ(rows("a", "c").size(), 5u);
  // The halves go on while they are apart, and one is started anew.
  kill("c");
  start("c");
  write("c", 1), write("a", 1);
  pump(10 * kTickMs);
  wire_.heal();
  come_together();
}

TEST_F(UsageGossipTest, TheBusIsAway) {
  for (const char* name : {"a", "b"}) start(name);
  for (auto& [name, gateway] : gateways_) gateway.bus->up = false;
  write("a", 300), write("b", 10);
  pump(10 * kTickMs);
  EXPECT_TRUE(rows("a", "b").empty());
  for (auto& [name, gateway] : gateways_) gateway.bus->up = true;
  come_together();
}

TEST_F(UsageGossipTest, ANewGatewayGetsAllThatThereEverWas) {
  start("a"), start("b");
  write("a", 2500), write("b", 10);
  come_together();
  wire_.messages.clear();
  start("c");
  come_together();
  // To it alone: nobody else hears all of it again.
  EXPECT_GE(wire_.messages["verge.usage.a.c"], 2500 / 250);
  EXPECT_EQ(wire_.messages["verge.usage.a.b"], 0);
  EXPECT_LT(wire_.bytes["verge.usage.a"], 2 * wire_.bytes["verge.usage.a.c"]) << "told to all once, when they were new";
}

TEST_F(UsageGossipTest, RowsThatAreMissingAtTheirOwnerHoldNothingUp) {
  {
    auto book = UsageBook::open(folder_ + "/a");
    std::vector<UsageRow> rows(4);
    const int64_t now = unix_ms();
    for (int64_t i = 0; i < 4; ++i) {
      rows[static_cast<size_t>(i)].gateway = "a";
      rows[static_cast<size_t>(i)].boot = rows[static_cast<size_t>(i)].time_ms = now;
      rows[static_cast<size_t>(i)].seq = 2 * i + 3;  // as where the disk was full for too long
      rows[static_cast<size_t>(i)].neurons = 1;
      rows[static_cast<size_t>(i)].usage.completion_tokens = 1;
    }
    ASSERT_EQ(*book->write(rows), 4);
    written_ = neurons_ = 4;
  }
  start("a"), start("b");
  come_together();
  EXPECT_EQ(rows("a", "b").size(), 4u);
}

TEST_F(UsageGossipTest, ADiskThatTakesNothingForAWhile) {
  for (const char* name : {"a", "b"}) start(name);
  come_together();
  const auto tell_sqlite = [&](const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ + "/b/usage.db").c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  };
  tell_sqlite("ALTER TABLE usage_marks RENAME TO away");
  write("a", 20);
  pump(20 * kTickMs);
  tell_sqlite("ALTER TABLE away RENAME TO usage_marks");
  EXPECT_TRUE(rows("a", "b").empty());
  come_together();
}

// Promises: UG3.
TEST_F(UsageGossipTest, WhoAsksAgainAndAgainGetsNoMoreForIt) {
  start("a");
  write("a", 5000);
  LossyBus greedy(wire_, "greedy");
  pump(3 * kTickMs);
  const int64_t began = monotonic_ms();
  for (int i = 0; i < 200; ++i) {
    for (int k = 0; k < 20; ++k) greedy.publish("verge.usage.greedy", encode_have({}));
    pump(1);
  }
  // The same batch, once in three ticks.
  const auto ticks = (monotonic_ms() - began) / (kTickMs * 0.8);
  EXPECT_GE(wire_.messages["verge.usage.a.greedy"], 1);
  EXPECT_LE(wire_.messages["verge.usage.a.greedy"], ticks / 3 + 2);
}

TEST_F(UsageGossipTest, NonsenseIsLeftOut) {
  for (const char* name : {"a", "b"}) start(name);
  write("a", 10);
  come_together();
  LossyBus liar(wire_, "liar");
  UsageRow row;
  row.boot = 5;
  row.seq = 1;
  row.account = "a";
  row.neurons = 1;
  const std::string right = encode_batch({}, {5, 1}, std::vector<UsageRow>{row}).text;
  const auto wrong = [&](std::string_view from, std::string_view to) {
    std::string text = right;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    return text;
  };
  const std::vector<std::string> texts{
      "", "{", "null", "[]", "{}", R"({"v":1})", R"({"v":1,"rows":7})", std::string(1 << 20, ' '), std::string(100'000, '['),
      wrong(R"("v":1)", R"("v":2)"), wrong(R"("upto":[5,1])", R"("upto":[4,1])"), wrong(R"("after":[0,0])", R"("after":[0,-1])"),
      wrong(R"("after":[0,0])", R"("after":[5,1])"), wrong(R"("mark":[5,1])", R"("mark":[5,1e9])"), wrong(R"("neurons":1)", R"("neurons":-1)"),
      wrong(R"("neurons":1)", R"("neurons":9000000000000000000)"), wrong(R"("neurons":1)", R"("neurons":1.5)"), wrong(R"("account":"a")", R"("account":null)"),
      wrong(R"("account":"a")", R"("account":")" + std::string(1000, 'x') + "\""), wrong(R"("account":"a")", "\"account\":\"\xff\""),
      R"({"v":1,"have":{"a":[1]}})", R"({"v":1,"have":{"A b":[1,1]}})", R"({"v":1,"have":{"a":[9e99,1]}})"};
  for (const std::string& text : texts) {
    liar.publish("verge.usage.liar", text);
    liar.publish("verge.usage.liar.a", text);
  }
  // Any one byte of it changed: whatever still counts as a row is one of the liar's.
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string text = right;
    text[random.below(text.size())] = static_cast<char>(random.below(256));
    auto read = decode_usage(text, "liar");
    if (!read || !std::holds_alternative<UsageBatch>(*read)) continue;
    for (const UsageRow& one : std::get<UsageBatch>(*read).rows) EXPECT_EQ(one.gateway, "liar");
  }
  for (const char* subject : {"verge.usage.", "verge.usage.LIAR", "verge.usage.li ar.a", "verge.usage.-"}) liar.publish(subject, right);
  pump(10 * kTickMs);
  EXPECT_TRUE(rows("liar", "a").empty());
  // Rows that it says are of gateway a are its own.
  liar.publish("verge.usage.liar", wrong(R"("account":"a")", R"("gateway":"a","account":"a")"));
  // It has everything of a's, it says, and more: that is its own loss.
  liar.publish("verge.usage.liar", R"({"v":1,"have":{"a":[1125899906842624,1],"b":[1125899906842624,1]}})");
  for (int i = 0; i < 50 && rows("liar", "a").empty(); ++i) pump(kTickMs);
  EXPECT_EQ(rows("liar", "a").size(), 1u);
  write("a", 1), write("b", 1);
  for (int i = 0; i < 500 && (rows("a", "b").size() < 11 || rows("b", "a").size() < 1); ++i) pump(kTickMs);
  EXPECT_EQ(rows("a", "b"), rows("a", "a"));
  EXPECT_EQ(rows("b", "a"), rows("b", "b"));
}

}  // namespace
}  // namespace verge::cluster
