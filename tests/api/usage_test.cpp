// Accounts' limits and the usage ledger, through the API.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "accounts/local_lease_store.h"
#include "accounts/meter.h"
#include "support/clock.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

class UsageTest : public ApiTest {
 protected:
  UsageTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "verge-usage-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    accounts_.emplace(std::move(*accounts::Accounts::open(folder_)));
    ledger_ = std::move(*accounts::Ledger::open(io_.get_executor(), folder_, {"local"}));
    leases_.emplace([this](const std::string& account, int64_t day) { return ledger_->neurons_of(account, day); });
  }
  ~UsageTest() override {
    stop();
    api_.reset();
    meter_.reset();
    ledger_.reset();
    std::filesystem::remove_all(folder_);
  }
  void serve(accounts::MeterOptions limits = {}) {
    meter_.emplace(io_.get_executor(), *accounts_, catalogue_, *leases_, ledger_.get(), metrics_, limits);
    Options options;
    options.meter = &*meter_;
    options.metrics = &metrics_;
    start(std::move(options), &*accounts_);
  }
  // From another process, as it were.
  void set(const accounts::Settings& settings, const std::string& account = "acc") {
    ASSERT_TRUE(accounts::Accounts::open(folder_)->set(account, settings, 1));
  }
  static accounts::Settings daily(double neurons) {
    accounts::Settings out;
    out.daily_neurons = static_cast<int64_t>(neurons * accounts::kMicro);
    return out;
  }
  std::vector<accounts::UsageRow> rows() { return *accounts::UsageBook::open(folder_)->rows_after("local", {}, 1000); }
  json::value usage(const std::string& query = "") { return get("/client/v4/accounts/acc/ai/usage" + query).json().at("result"); }

  std::string folder_;
  std::optional<accounts::Accounts> accounts_;
  std::unique_ptr<accounts::Ledger> ledger_;
  std::optional<accounts::LocalLeaseStore> leases_;
  metrics::Registry metrics_;
  std::optional<accounts::Meter> meter_;
};

// The scripted answer: 7 prompt tokens and 3 generated ones of llama-3.2-1b.
constexpr double kEach = (7 * 0.027 + 3 * 0.201) / 1e6 / (0.011 / 1000);

// Promises: GE3.
TEST_F(UsageTest, AnAnswerIsInTheLedgerWhenItsEndIsSeen) {
  serve();
  for (const char* body : {R"({"prompt":"x"})", R"({"prompt":"x","stream":true})"}) {
    const size_t before = rows().size();
    Answer answer = run(body);
    ASSERT_EQ(answer.status, 200);
    ASSERT_TRUE(answer.complete);
    const auto after = rows();
    ASSERT_EQ(after.size(), before + 1);
    const accounts::UsageRow& row = after.back();
    EXPECT_EQ(row.id, answer.header("cf-ai-req-id"));
    EXPECT_EQ(row.account, "acc");
    EXPECT_EQ(row.model, kModel);
    EXPECT_EQ(row.task, "text-generation");
    EXPECT_EQ(row.node, "n1");
    EXPECT_EQ(row.outcome, "ok");
    EXPECT_EQ(row.usage, (protocol::Usage{7, 3}));
    EXPECT_EQ(row.neurons, std::llround(kEach * 1e6));
    if (answer.header("content-type") == "application/json") { EXPECT_EQ(answer.header("cf-ai-neurons"), "0.072"); }
  }
}

TEST_F(UsageTest, PromptsOfSeveralAnswersCountOnce) {
  serve();
  ASSERT_EQ(post("/v1/chat/completions", fmt::format(R"({{"model":"{}","n":3,"messages":[{{"role":"user","content":"x"}}]}})", kModel)).status, 200);
  const auto all = rows();
  ASSERT_EQ(all.size(), 1u) << "one request, one row";
  EXPECT_EQ(all.front().usage, (protocol::Usage{7, 9}));
  EXPECT_EQ(all.front().account, "default");
}

TEST_F(UsageTest, FailuresCostNothingAndRefusalsAreNotInTheLedger) {
  serve();
  service_.say({accepted(), token(1, "Hello"), failure(Code::WorkerGone, "gone")});
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 503);
  EXPECT_EQ(run(R"({"prompt":"x","stream":true})").status, 200);
  service_.say({failure(Code::Busy, "full")});
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 429);
  EXPECT_EQ(run(R"({"prompt":3})").status, 400);
  service_.script = nullptr;
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);  // its row is behind theirs
  const auto all = rows();
  ASSERT_EQ(all.size(), 3u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(all[i].outcome, "worker_gone");
    EXPECT_EQ(all[i].neurons, 0);
    EXPECT_EQ(all[i].usage, protocol::Usage());
  }
  EXPECT_EQ(all[2].outcome, "ok");
}

TEST_F(UsageTest, AClientThatLeavesPaysForWhatWasMade) {
  serve();
  service_.script = [](const protocol::Request&, EventSink& sink) -> protocol::task<void> {
    protocol::Event first = accepted();
    if (!co_await sink.put(std::move(first))) { co_return; }
    for (int i = 0;; ++i) {
      protocol::Event next = token(i, "word ");
      if (!co_await sink.put(std::move(next))) { co_return; }
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, std::chrono::milliseconds(1));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
  };
  {
    Connection connection(server_->port());
    connection.send(request("POST", rest(), R"({"prompt":"x","stream":true})"));
    ASSERT_TRUE(connection.read_until("word"));
  }
  service_.wait_ended(1);
  for (int i = 0; i < 500 && rows().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const auto all = rows();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].outcome, "aborted");
  EXPECT_GE(all[0].usage.completion_tokens, 1);
  EXPECT_GT(all[0].neurons, 0);
}

TEST_F(UsageTest, TheRequestAfterTheAllocationIsRefusedAsPublished) {
  serve();
  set(daily(3 * kEach));
  int served = 0;
  Answer answer;
  while ((answer = run(R"({"prompt":"x","max_tokens":3})")).status == 200 && served < 10) ++served;
  EXPECT_GE(served, 3);
  EXPECT_LE(served, 4) << "the last one may start with what is left";
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(code_of(answer), 3036);
  EXPECT_NE(message_of(answer).find("You have used up your daily free allocation of"), std::string::npos);
  const int64_t seconds = std::stoll(answer.header("retry-after"));
  EXPECT_GT(seconds, 0);
  EXPECT_LE(seconds, 86'400);
  EXPECT_EQ(post("/v1/completions", fmt::format(R"({{"model":"{}","prompt":"x"}})", kModel)).status, 200) << "another account";
  EXPECT_EQ(rows().size(), static_cast<size_t>(served) + 1);
  EXPECT_EQ(get("/client/v4/accounts/acc/ai/models/search").status, 200) << "lists cost nothing";
  set(daily(1000));
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
  json::value mine = usage();
  EXPECT_NEAR(mine.at("allocation").at("used_today").to_number<double>(), (served + 1) * kEach, 1e-5);
  EXPECT_NEAR(mine.at("allocation").at("daily_neurons").to_number<double>(), 1000, 1e-9);
}

TEST_F(UsageTest, RatesAndConcurrency) {
  serve();
  accounts::Settings settings;
  settings.rates["text-generation"] = 2;
  set(settings);
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
  Answer answer = run(R"({"prompt":"x"})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(code_of(answer), 3040);
  EXPECT_NE(message_of(answer).find("2 requests per minute"), std::string::npos) << message_of(answer);
  EXPECT_GE(std::stoll(answer.header("retry-after")), 50);
  Answer openai = post("/client/v4/accounts/acc/ai/v1/completions", fmt::format(R"({{"model":"{}","prompt":"x"}})", kModel));
  EXPECT_EQ(openai.status, 429);
  EXPECT_EQ(openai.json().at("error").at("type"), "rate_limit_error");
  settings.rates["text-generation"] = accounts::Settings::kUnlimited;
  settings.concurrency = 1;
  set(settings);
  // One under way that waits for the other to have been refused.
  std::promise<void> refused;
  auto until = refused.get_future().share();
  service_.script = [until](const protocol::Request&, EventSink& sink) -> protocol::task<void> {
    protocol::Event first = accepted(), text = token(1, "word"), last = end();
    if (!co_await sink.put(std::move(first))) { co_return; }
    if (!co_await sink.put(std::move(text))) { co_return; }
    while (until.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, std::chrono::milliseconds(1));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_await sink.put(std::move(last));
  };
  Connection connection(server_->port());
  connection.send(request("POST", rest(), R"({"prompt":"x","stream":true})"));
  ASSERT_TRUE(connection.read_until("word"));
  answer = run(R"({"prompt":"x"})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_NE(message_of(answer).find("at once"), std::string::npos);
  refused.set_value();
  ASSERT_TRUE(connection.read_until("[DONE]"));
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
}

TEST_F(UsageTest, ReportsForAccountsAndAdministrators) {
  serve();
  auto command = accounts::Accounts::open(folder_);
  const std::string mine = command->create("t", "read", "acc", 1)->secret, admin = command->create("t", "admin", "", 1)->secret,
                    runs = command->create("t", "run", "", 1)->secret;
  const auto bearer = [](const std::string& secret) { return http::Headers{{"authorization", "Bearer " + secret}}; };
  ASSERT_EQ(post(rest(), R"({"prompt":"x"})", bearer(runs)).status, 200);
  ASSERT_EQ(post("/client/v4/accounts/other/ai/run/" + std::string(kModel), R"({"prompt":"x"})", bearer(runs)).status, 200);
  EXPECT_EQ(post(rest(), R"({"prompt":"x"})", bearer(mine)).status, 403) << "read does not run models";
  EXPECT_EQ(get("/client/v4/accounts/other/ai/usage", bearer(mine)).status, 403);
  EXPECT_EQ(get("/verge/v1/usage", bearer(runs)).status, 403);
  Answer answer = get("/client/v4/accounts/acc/ai/usage?by=day,model,task", bearer(mine));
  ASSERT_EQ(answer.status, 200) << answer.body;
  json::value report = answer.json().at("result");
  EXPECT_EQ(report.at("account"), "acc");
  ASSERT_EQ(report.at("rows").as_array().size(), 1u);
  const json::value& row = report.at("rows").at(0);
  EXPECT_EQ(row.at("model"), json::string(kModel));
  EXPECT_EQ(row.at("task"), "text-generation");
  EXPECT_EQ(row.at("day"), json::string(accounts::date_of(accounts::day_of(unix_ms()))));
  EXPECT_EQ(row.at("prompt_tokens"), 7);
  EXPECT_EQ(row.at("completion_tokens"), 3);
  EXPECT_EQ(report.at("total").at("requests"), 1);
  EXPECT_NEAR(report.at("total").at("neurons").as_double(), kEach, 1e-6);
  EXPECT_EQ(report.at("allocation").at("daily_neurons"), nullptr);
  report = get("/verge/v1/usage?by=account", bearer(admin)).json().at("result");
  EXPECT_EQ(report.at("rows").as_array().size(), 2u);
  EXPECT_EQ(get("/verge/v1/usage?account=acc", bearer(admin)).json().at("result").at("total").at("requests"), 1);
  EXPECT_EQ(get("/verge/v1/usage?from=2020-01-01&to=2020-12-31", bearer(admin)).json().at("result").at("total").at("requests"), 0);
  for (const char* wrong : {"?from=today", "?by=colour", "?from=2026-11-02&to=2026-11-01"}) {
    Answer refused = get(std::string("/verge/v1/usage") + wrong, bearer(admin));
    EXPECT_EQ(refused.status, 400) << wrong;
    EXPECT_EQ(code_of(refused), 5006);
  }
}

TEST_F(UsageTest, NothingOfADamagedLedgerIsToldToClients) {
  serve();
  ASSERT_EQ(run(R"({"prompt":"x"})").status, 200);
  std::fstream(folder_ + "/usage.db-wal", std::ios::in | std::ios::out) << std::string(256 << 10, 'Z');
  std::fstream(folder_ + "/usage.db", std::ios::in | std::ios::out) << std::string(16 << 10, 'Z');
  Answer answer = get("/client/v4/accounts/acc/ai/usage");
  EXPECT_EQ(answer.body.find(folder_), std::string::npos) << answer.body;
  EXPECT_EQ(answer.body.find("load_failed"), std::string::npos) << answer.body;
}

TEST_F(UsageTest, WithoutALedgerThereIsNoReport) {
  start();
  EXPECT_EQ(get("/client/v4/accounts/acc/ai/usage").status, 404);
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
}

}  // namespace
}  // namespace verge::api::testing
