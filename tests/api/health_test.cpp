#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

using HealthTest = ApiTest;

TEST_F(HealthTest, HealthAndReadiness) {
  bool ready = false;
  Options options;
  options.ready = [&] { return ready; };
  options.status = [] { return json::value(json::object{{"name", "n"}}); };
  start(std::move(options));
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").status, 503);
  boost::asio::post(io_, [&] { ready = true; });
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_EQ(get("/verge/v1/status").json().at("name"), "n");
}

TEST_F(HealthTest, ReadinessNamesModelsThatDoNotGetOn) {
  Options options;
  options.status = [] { return json::parse(R"({"models":[{"id":"@x/m","state":"suspect"},{"id":"@x/n","state":"ready"}]})"); };
  start(std::move(options));
  const Answer answer = get("/readyz");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json().at("suspect"), json::array{"@x/m"});
}

TEST_F(HealthTest, HeadIsAnsweredWithoutABody) {
  start();
  Connection connection(server_->port());
  connection.send(request("HEAD", "/healthz", ""));
  ASSERT_TRUE(connection.read_until("\r\n\r\n"));
  connection.send(request("GET", "/readyz", ""));
  EXPECT_TRUE(connection.read_until("ready\"}"));
}

TEST_F(HealthTest, MetricsCountRequestsAndTokens) {
  run(R"({"prompt":"x"})");
  run(R"({"prompt":"x","stream":true})");
  run(R"({"prompt":5})");
  get("/healthz");
  ask("BREW", "/x");
  Answer answer = get("/metrics");
  EXPECT_EQ(answer.header("content-type"), metrics::Registry::kContentType);
  auto has = [&](std::string_view line) { EXPECT_NE(answer.body.find(line), std::string::npos) << line; };
  has(R"(verge_http_requests_total{method="POST",route="/client/v4/accounts/{account}/ai/run/{model...}",status="200"} 2)");
  has(R"(verge_http_requests_total{method="POST",route="/client/v4/accounts/{account}/ai/run/{model...}",status="400"} 1)");
  has(R"(verge_http_requests_total{method="other",route="other",status="404"} 1)");
  has(R"(verge_request_errors_total{code="5006"} 1)");
  has(R"(verge_generation_tokens_total{model="@cf/meta/llama-3.2-1b-instruct"} 6)");
  has(R"(verge_prompt_tokens_total{model="@cf/meta/llama-3.2-1b-instruct"} 14)");
  has(R"(verge_time_to_first_token_seconds_count{model="@cf/meta/llama-3.2-1b-instruct"} 2)");
  has("verge_requests_in_flight 1");
  has("# HELP verge_http_request_duration_seconds");
}

}  // namespace
}  // namespace verge::api::testing
