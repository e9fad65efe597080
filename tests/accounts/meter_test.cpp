#include "accounts/meter.h"

#include "accounts/local_lease_store.h"
#include "support/clock.h"
#include "support/log.h"
#include "tests/accounts/folder.h"

namespace verge::accounts {
namespace {

class MeterTest : public testing::FolderTest {
 protected:
  MeterTest() : accounts_(*Accounts::open(folder_)), catalogue_(*catalogue::Catalogue::load({})) {
    log::configure(log::Level::Off, log::Format::Text, "test");
    entry_ = catalogue_.find("@cf/meta/llama-3.2-1b-instruct");
    ledger_ = std::move(*Ledger::open(io_.get_executor(), folder_, {}));
    meter_ = make(local_, {});
  }
  std::unique_ptr<Meter> make(LeaseStore& store, MeterOptions options) {
    return std::make_unique<Meter>(io_.get_executor(), accounts_, catalogue_, store, ledger_.get(), metrics_, options);
  }

  Result<Charge> admit(int64_t tokens_out = 100, const std::string& account = "a", Meter* meter = nullptr) {
    Result<Charge> out = Error{};
    run([&]() -> task<void> {
      Claim claim;
      claim.account = account;
      claim.id = "id";
      claim.entry = entry_;
      claim.estimate.completion_tokens = tokens_out;
      auto admitting = (meter ? *meter : *meter_).admit(std::move(claim));
      out = co_await std::move(admitting);
    });
    return out;
  }
  void book(Charge& charge, int64_t tokens_out) {
    run([&]() -> task<void> {
      protocol::Usage usage;
      usage.completion_tokens = tokens_out;
      std::string node = "n";
      auto booking = meter_->book(charge, usage, std::move(node), "@x/answers");
      co_await std::move(booking);
    });
  }
  void set(Settings settings, const std::string& account = "a") { ASSERT_TRUE(accounts_.set(account, settings, 1)); }
  static Settings daily(double neurons) {
    Settings out;
    out.daily_neurons = static_cast<int64_t>(neurons * kMicro);
    return out;
  }
  double used() { return static_cast<double>(meter_->allocation("a")->used) / kMicro; }

  Accounts accounts_;
  catalogue::Catalogue catalogue_;
  const catalogue::Entry* entry_ = nullptr;
  std::unique_ptr<Ledger> ledger_;
  LocalLeaseStore local_{[this](const std::string& account, int64_t day) { return ledger_->neurons_of(account, day); }};
  metrics::Registry metrics_;
  std::unique_ptr<Meter> meter_;
};

constexpr double kOut = 0.201 / 1e6 / (0.011 / 1000);  // neurons of a generated token

TEST_F(MeterTest, WithoutLimitsEverythingIsAdmittedAndRecorded) {
  for (int i = 0; i < 5; ++i) {
    auto charge = admit();
    ASSERT_TRUE(charge);
    book(*charge, 10);
  }
  EXPECT_NEAR(used(), 50 * kOut, 1e-4);
  EXPECT_LT(meter_->allocation("a")->limit, 0);
}

TEST_F(MeterTest, TheAllocationEndsWhereItShould) {
  set(daily(10 * 100 * kOut));
  for (int i = 0; i < 10; ++i) {
    auto charge = admit(100);
    ASSERT_TRUE(charge) << i << ": " << charge.error().message;
    book(*charge, 100);
  }
  // Rounding leaves less than a token of it: that one may still run.
  if (auto last = admit(100)) book(*last, 1);
  auto refused = admit(100);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::QuotaUsed);
  EXPECT_EQ(refused.error().limit, *daily(10 * 100 * kOut).daily_neurons);
  EXPECT_GT(refused.error().retry_after_ms, 0);
  EXPECT_LE(refused.error().retry_after_ms, kDayMs);
  EXPECT_TRUE(admit(100, "b")) << "another account has its own";
  // A server that starts again finds it on its books.
  meter_.reset();
  ledger_ = std::move(*Ledger::open(io_.get_executor(), folder_, {}));
  LocalLeaseStore fresh([this](const std::string& account, int64_t day) { return ledger_->neurons_of(account, day); });
  meter_ = make(fresh, {});
  EXPECT_EQ(admit(100).error().code, Code::QuotaUsed);
  // More is given while it runs.
  set(daily(20 * 100 * kOut));
  EXPECT_TRUE(admit(100));
  meter_.reset();
}

TEST_F(MeterTest, PublishedLimitsHoldWhereAskedForAndNothingElseIsSet) {
  auto published = make(local_, {true, 5});
  EXPECT_EQ(published->allocation("a")->limit, kFreeNeurons * kMicro);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(admit(1, "a", published.get())) << i;
  auto refused = admit(1, "a", published.get());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::RateLimited);
  EXPECT_NE(refused.error().message.find("300 requests per minute"), std::string::npos) << refused.error().message;
  EXPECT_GT(refused.error().retry_after_ms, 1000);
  entry_ = catalogue_.find("@cf/baai/bge-small-en-v1.5");
  EXPECT_TRUE(admit(1, "a", published.get())) << "another task";
  entry_ = catalogue_.find("@cf/meta/llama-3.2-1b-instruct");
  Settings own;
  own.rates["text-generation"] = Settings::kUnlimited;
  set(own);
  EXPECT_TRUE(admit(1, "a", published.get()));
}

// Promises: MT1.
TEST_F(MeterTest, AFailedOrForgottenRequestGivesBackWhatItHeld) {
  Settings settings = daily(100);
  settings.concurrency = 1;
  set(settings);
  {
    auto held = admit(1000);
    ASSERT_TRUE(held);
    auto refused = admit(1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::RateLimited);
  }
  auto next = admit(1);
  ASSERT_TRUE(next);
  meter_->book_failure(*next, Code::WorkerGone, "n", "");
  auto aborted = admit(100);
  ASSERT_TRUE(aborted);
  meter_->book_aborted(*aborted, {.completion_tokens = 4}, "n", "");
  ASSERT_TRUE(admit(1));
  ledger_.reset();  // writes what nobody waited for
  auto book = UsageBook::open(folder_);
  UsageQuery all;
  auto lines = book->report(all);
  EXPECT_EQ(lines->front().requests, 2);
  EXPECT_EQ(lines->front().failed, 1);
  EXPECT_EQ(lines->front().usage.completion_tokens, 4);
  meter_.reset();
}

// Promises: MT2.
TEST_F(MeterTest, ARequestIsChargedAtTheTimeOfItsAdmission) {
  auto charge = admit();
  ASSERT_TRUE(charge);
  const int64_t admitted = unix_ms();
  while (unix_ms() <= admitted) {}
  book(*charge, 10);
  const auto rows = ledger_->own_rows_after({}, 10);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_LE(rows->front().time_ms, admitted);
}

// Promises: LS1.
TEST_F(MeterTest, OfTwoThatExpectTheSameRevisionOneWins) {
  LocalLeaseStore store;
  const LeaseKey key{"a", 20'000};
  run([&]() -> task<void> {
    auto first = store.compare_and_set(key, 0, 5);
    const auto won = co_await std::move(first);
    auto second = store.compare_and_set(key, 0, 7);
    const auto lost = co_await std::move(second);
    auto reading = store.get(key);
    const auto record = co_await std::move(reading);
    EXPECT_TRUE(won.ok() && *won && **won > 0);
    EXPECT_TRUE(lost.ok() && !*lost);
    EXPECT_EQ(record->leased, 5);
    EXPECT_EQ(record->revision, **won);
    auto third = store.compare_and_set(key, **won, 7);
    const auto next = co_await std::move(third);
    EXPECT_TRUE(next.ok() && *next && **next > **won);
  });
}

TEST_F(MeterTest, MovingAChargeMovesWhatItHolds) {
  Settings settings;
  settings.concurrency = 1;
  set(settings);
  auto first = admit();
  Charge kept;
  kept = std::move(*first);
  EXPECT_FALSE(admit());
  Charge again(std::move(kept));
  EXPECT_FALSE(admit());
  again = Charge();
  EXPECT_TRUE(admit());
}

// A store that is out of reach, or answers when told.
class FaultyStore : public LeaseStore {
 public:
  explicit FaultyStore(LeaseStore& behind) : behind_(behind) {}
  task<Result<LeaseRecord>> get(LeaseKey key) override {
    ++asked;
    if (down) co_return fail(Code::Io, "out of reach");
    if (throws) throw std::runtime_error("broken");
    auto answer = behind_.get(std::move(key));
    co_return co_await std::move(answer);
  }
  task<Result<std::optional<uint64_t>>> compare_and_set(LeaseKey key, uint64_t expected, int64_t leased) override {
    if (down) co_return fail(Code::Io, "out of reach");
    if (conflicts > 0) {
      --conflicts;
      co_return std::optional<uint64_t>();
    }
    auto answer = behind_.compare_and_set(std::move(key), expected, leased);
    co_return co_await std::move(answer);
  }
  bool down = false, throws = false;
  int conflicts = 0, asked = 0;

 private:
  LeaseStore& behind_;
};

TEST_F(MeterTest, WhatOtherGatewaysSpentIsNoShareOfThisOne) {
  FaultyStore store(local_);
  store.down = true;
  UsageRow theirs;
  theirs.gateway = "h";
  theirs.boot = theirs.seq = 1;
  theirs.time_ms = unix_ms();
  theirs.account = "a";
  theirs.neurons = 100 * kMicro;
  run([&]() -> task<void> {
    std::string gateway = "h";
    const UsageMark none, last{1, 1};
    std::vector<UsageRow> rows{theirs};
    auto merging = ledger_->merge(gateway, none, last, std::move(rows));
    EXPECT_TRUE(co_await std::move(merging));
  });
  set(daily(100));
  auto cut_off = make(store, {false, 5});
  EXPECT_TRUE(admit(static_cast<int64_t>(1 / kOut), "a", cut_off.get())) << "five percent of its allocation are this gateway's to give";
  EXPECT_NEAR(used(), 100, 1e-6) << "the account sees all of it";
}

TEST_F(MeterTest, AStoreOutOfReachLeavesTheCutOffShare) {
  FaultyStore store(local_);
  store.down = true;
  auto cut_off = make(store, {true, 5});
  set(daily(100));
  Settings rates;
  rates.rates["text-generation"] = Settings::kUnlimited;
  set(rates);
  std::vector<Charge> held;
  int64_t reserved = 0;
  const auto each = static_cast<int64_t>(1 / kOut);  // about a neuron
  while (true) {
    auto charge = admit(each, "a", cut_off.get());
    if (!charge) {
      EXPECT_EQ(charge.error().code, Code::RateLimited) << "it is not known that the allocation is used up";
      break;
    }
    held.push_back(std::move(*charge));
    ++reserved;
    ASSERT_LE(reserved, 6) << "five percent of a hundred neurons";
  }
  EXPECT_GE(reserved, 5);
  EXPECT_LE(store.asked, 2) << "not asked for every request";
  auto closed = make(store, {true, 0});
  EXPECT_FALSE(admit(each, "a", closed.get()));
  store.down = false;
  store.throws = true;
  auto broken = make(store, {true, 5});
  EXPECT_TRUE(admit(each, "a", broken.get()));
}

TEST_F(MeterTest, OtherGatewaysThatComeFirstCostAnotherTry) {
  FaultyStore store(local_);
  store.conflicts = 3;
  auto meter = make(store, {});
  set(daily(100));
  EXPECT_TRUE(admit(10, "a", meter.get()));
  EXPECT_EQ(store.conflicts, 0);
}

TEST_F(MeterTest, CountsForTheOperator) {
  set(daily(0));
  EXPECT_FALSE(admit());
  auto other = admit(10, "b");
  ASSERT_TRUE(other);
  book(*other, 1000);
  const std::string text = metrics_.text();
  EXPECT_NE(text.find(R"(verge_account_refusals_total{account="a",reason="neurons"} 1)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(verge_account_requests_total{account="b",outcome="ok"} 1)"), std::string::npos);
  EXPECT_NE(text.find(R"(verge_account_neurons_total{account="b"} 18.27)"), std::string::npos) << text;
}

}  // namespace
}  // namespace verge::accounts
