#include "api/admission.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

class AdmissionTest : public ApiTest {
 protected:
  AdmissionTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "verge-admission-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    accounts_.emplace(std::move(*accounts::Accounts::open(folder_)));
  }
  ~AdmissionTest() override {
    stop();
    std::filesystem::remove_all(folder_);
  }
  std::string make(const std::string& scope, const std::string& account = "") {
    return accounts::Accounts::open(folder_)->create("t", scope, account, 1)->secret;
  }
  static http::Headers bearer(const std::string& secret) { return {{"authorization", "Bearer " + secret}}; }

  std::string folder_;
  std::optional<accounts::Accounts> accounts_;
};

TEST_F(AdmissionTest, NoTokenIsNeededUntilOneIsMade) {
  start({}, &*accounts_);
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
  std::string secret = make("inference");
  Answer answer = run(R"({"prompt":"x"})");
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.header("www-authenticate"), "Bearer");
  EXPECT_EQ(answer.json().at("errors"), json::parse(R"([{"code":10000,"message":"Authentication error"}])"));
  EXPECT_EQ(answer.json().at("result"), nullptr);
  EXPECT_EQ(post(rest(), R"({"prompt":"x"})", bearer(secret)).status, 200);
  EXPECT_EQ(post(rest(), R"({"prompt":"x"})", {{"Authorization", "bearer  " + secret}}).status, 200);
}

TEST_F(AdmissionTest, NothingOfADamagedDatabaseIsToldToClients) {
  const std::string secret = make("run");
  start({}, &*accounts_);
  ASSERT_EQ(post(rest(), R"({"prompt":"x"})", bearer(secret)).status, 200);
  std::fstream(folder_ + "/accounts.db", std::ios::in | std::ios::out) << std::string(4096, 'Z');
  for (const char* path : {"/v1/completions", "/run?version=3"}) {
    Answer answer = post(path, R"({"model":"x","prompt":"x"})", bearer(secret));
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body.find(folder_), std::string::npos) << answer.body;
    EXPECT_EQ(answer.body.find("model_load_failed"), std::string::npos) << answer.body;
  }
}

TEST_F(AdmissionTest, TokenOfOneAccountStaysThere) {
  std::string secret = make("inference", "mine");
  start({}, &*accounts_);
  EXPECT_EQ(post("/client/v4/accounts/mine/ai/run/@cf/meta/llama-3.2-1b-instruct", R"({"prompt":"x"})", bearer(secret)).status, 200);
  EXPECT_EQ(post("/client/v4/accounts/other/ai/run/@cf/meta/llama-3.2-1b-instruct", R"({"prompt":"x"})", bearer(secret)).status, 403);
  EXPECT_EQ(post("/v1/completions", R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":"x"})", bearer(secret)).status, 200);
  EXPECT_EQ(service_.requests().back().tenant, "mine");
}

TEST_F(AdmissionTest, AnAccountThatIsNoNameHasNoRoutes) {
  for (const std::string& odd : {std::string("%ff"), std::string("a%0ab"), std::string(65, 'a')}) {
    Answer answer = post("/client/v4/accounts/" + odd + "/ai/run/@cf/meta/llama-3.2-1b-instruct", R"({"prompt":"x"})");
    EXPECT_EQ(answer.status, 400) << odd;
    EXPECT_EQ(code_of(answer), 7000);
  }
  EXPECT_EQ(post("/client/v4/accounts/a.b%2A/ai/run/@cf/meta/llama-3.2-1b-instruct", R"({"prompt":"x"})").status, 200);
}

// X3: every route with every kind of caller. A new route is in the table and thus in here.
TEST_F(AdmissionTest, EveryRouteAsksForWhatItsRowSays) {
  std::string read = make("read"), inference = make("run"), admin = make("admin"), metrics = make("metrics");
  start({}, &*accounts_);
  for (const Route& route : routes()) {
    std::string path(route.pattern);
    for (auto [from, to] : {std::pair<std::string, std::string>{"{account}", "a"}, {"{model...}", "@cf/meta/llama-3.2-1b-instruct"}})
      if (size_t at = path.find(from); at != std::string::npos) path.replace(at, from.size(), to);
    SCOPED_TRACE(std::string(route.method) + " " + path);
    auto status = [&](const http::Headers& headers) { return ask(route.method, path, route.method == "POST" ? "{}" : "", headers).status; };
    bool open = route.access == Access::Open || route.access == Access::Metrics;  // the test is on this machine
    for (const http::Headers& bad :
         {http::Headers(), bearer("vrg_000000000000_" + std::string(43, 'A')), bearer(""), http::Headers{{"authorization", "Basic eDp5"}}})
      EXPECT_EQ(status(bad) == 401, !open);
    EXPECT_EQ(status(bearer(inference)) == 403, route.access == Access::Admin);
    EXPECT_NE(status(bearer(inference)), 401);
    EXPECT_EQ(status(bearer(read)) == 403, route.access == Access::Admin || route.access == Access::Run);
    EXPECT_EQ(status(bearer(metrics)) == 403, !open);
    int with_admin = status(bearer(admin));
    EXPECT_TRUE(with_admin != 401 && with_admin != 403);
  }
}

TEST_F(AdmissionTest, ARefusalForTheScopeNamesBoth) {
  const std::string read = make("read");
  start({}, &*accounts_);
  const Answer answer = post("/v1/chat/completions", "{}", bearer(read));
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(answer.body.find("a token of scope run or admin; this token's scope is read"), std::string::npos) << answer.body;
}

TEST_F(AdmissionTest, AnExpiredTokenIsToldSo) {
  const std::string old = accounts_->create("x", "run", "", 1, 2)->secret;
  start({}, &*accounts_);
  const Answer answer = post("/v1/chat/completions", "{}", bearer(old));
  EXPECT_EQ(answer.status, 401);
  EXPECT_NE(answer.body.find("expired"), std::string::npos) << answer.body;
}

TEST_F(AdmissionTest, ErrorsOfAllShapes) {
  make("inference");
  start({}, &*accounts_);
  EXPECT_EQ(post("/v1/chat/completions", "{}").json().at("error").at("code"), "invalid_api_key");
  json::value body = post("/run?version=3", "{}").json();
  EXPECT_EQ(body.at("internalCode"), 10000);
  EXPECT_EQ(body.at("description"), "Authentication error");
}

TEST_F(AdmissionTest, PagesOfOtherSitesAreRefusedWithoutAToken) {
  Options options;
  options.origins = {"https://app.example"};
  start(std::move(options), &*accounts_);
  auto status = [&](const std::string& origin, http::Headers headers = {}) {
    headers.push_back({"origin", origin});
    return post(rest(), R"({"prompt":"x"})", headers).status;
  };
  EXPECT_EQ(status("https://evil.example"), 403);
  EXPECT_EQ(status("http://localhost.evil.example"), 403);
  EXPECT_EQ(status("null"), 403);
  EXPECT_EQ(status("http://localhost:3000"), 200);
  EXPECT_EQ(status("http://127.0.0.1:8787"), 200);
  EXPECT_EQ(status("https://app.example"), 200);
  std::string secret = make("inference");
  EXPECT_EQ(status("https://evil.example", bearer(secret)), 200);
}

TEST_F(AdmissionTest, PreflightAndHeadersOfCors) {
  Answer answer = ask("OPTIONS", rest(), "",
                      {{"origin", "https://evil.example"},
                       {"access-control-request-method", "POST"},
                       {"access-control-request-headers", "authorization,x-y"}});
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "*");
  EXPECT_EQ(answer.header("access-control-allow-headers"), "authorization,x-y");
  EXPECT_NE(answer.header("access-control-allow-methods").find("POST"), std::string::npos);
  answer = run(R"({"prompt":"x"})");
  EXPECT_EQ(answer.header("access-control-allow-origin"), "*");
  EXPECT_NE(answer.header("access-control-expose-headers").find("cf-ai-req-id"), std::string::npos);
}

// What this machine's own programs read without a token, no page of elsewhere reads, not even that it may not.
TEST_F(AdmissionTest, MetricsAreForNoPageOfElsewhere) {
  start({}, &*accounts_);
  for (const char* origin : {"https://evil.example", "null", "http://localhost.evil.example"}) {
    const Answer answer = get("/metrics", {{"origin", origin}});
    EXPECT_EQ(answer.status, 403) << origin;
    EXPECT_EQ(answer.header("access-control-allow-origin"), "");
  }
  EXPECT_EQ(get("/metrics", {}).status, 200);
  EXPECT_EQ(get("/metrics", {{"origin", "http://localhost:3000"}}).status, 200);
  const std::string secret = make("admin");
  EXPECT_EQ(get("/metrics", {{"origin", "https://evil.example"}}).status, 401);
  EXPECT_EQ(get("/metrics", {}).status, 200);
}

// A proxy on this machine connects from it for everybody.
TEST_F(AdmissionTest, MetricsThroughAProxyNeedAToken) {
  start({}, &*accounts_);
  const std::string secret = make("metrics");
  for (const char* name : {"Forwarded", "X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "Via"}) {
    EXPECT_EQ(get("/metrics", {{name, "203.0.113.9"}}).status, 401) << name;
    EXPECT_EQ(get("/metrics", {{name, "203.0.113.9"}, {"authorization", "Bearer " + secret}}).status, 200) << name;
  }
  EXPECT_EQ(get("/metrics", {}).status, 200);
}

TEST(LoopbackOrigin, KnowsThisMachineOnly) {
  for (const char* origin :
       {"http://localhost", "https://localhost:8080", "http://127.0.0.1:1", "http://[::1]:80", "http://[::1]", "http://app.localhost:3"})
    EXPECT_TRUE(loopback_origin(origin)) << origin;
  for (const char* origin : {"", "null", "localhost", "file://localhost", "http://localhost.evil.com", "http://127.0.0.1.evil.com",
                             "http://evil.com:80", "http://[::1].evil.com", "http://[::1]evil"})
    EXPECT_FALSE(loopback_origin(origin)) << origin;
}

// A token says who asks; what needs none from this machine goes on asking for its name.
TEST_F(AdmissionTest, WithTokensAnyHostButForMetrics) {
  start({}, &*accounts_);
  const std::string secret = make("admin");
  const auto status = [&](const std::string& path, const std::string& host, const std::string& more) {
    Connection connection(server_->port());
    connection.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n");
    return connection.read_answer().status;
  };
  EXPECT_EQ(status("/v1/models", "verge.example", "Authorization: Bearer " + secret + "\r\n"), 200);
  EXPECT_EQ(status("/v1/models", "verge.example", ""), 401);
  EXPECT_EQ(status("/healthz", "verge.example", ""), 200);
  EXPECT_EQ(status("/metrics", "localhost", ""), 200);
  EXPECT_EQ(status("/metrics", "rebound.example", ""), 401);
  EXPECT_EQ(status("/metrics", "rebound.example", "Authorization: Bearer " + secret + "\r\n"), 200);
}

// Nobody fills the server who will be refused: the answer comes before the body does.
TEST_F(AdmissionTest, NoBodyIsReadOfThoseWhoHaveNoToken) {
  make("inference");
  start({}, &*accounts_);
  for (const char* more : {"", "Authorization: Bearer wrong\r\n"}) {
    Connection connection(server_->port());
    connection.send(fmt::format("POST /run HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 50000000\r\n\r\n{{", more));
    EXPECT_EQ(connection.read_answer().status, 401);
  }
}

}  // namespace
}  // namespace verge::api::testing
