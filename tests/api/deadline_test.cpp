// How long a client waits for an answer to begin.
#include "support/clock.h"
#include "support/http_limits.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

struct DeadlineTest : ApiTest {
  // Milliseconds that the model was given.
  int64_t given() {
    const auto requests = service_.requests();
    return requests.empty() ? -1 : requests.back().deadline_ms - unix_ms();
  }
};

TEST_F(DeadlineTest, EveryRequestHasOne) {
  EXPECT_EQ(post(rest(), R"({"prompt":"hi"})").status, 200);
  EXPECT_GT(given(), limits::kRequestMs / 2);
  EXPECT_LE(given(), limits::kRequestMs);
}

TEST_F(DeadlineTest, TheHeaderOfAiGatewaySetsIt) {
  EXPECT_EQ(post(rest(), R"({"prompt":"hi"})", {{"content-type", "application/json"}, {"cf-aig-request-timeout", "60000"}}).status, 200);
  EXPECT_GT(given(), 30'000);
  EXPECT_LE(given(), 60'000);
  for (const char* wrong : {"0", "-5", "1.5", "1e3", "soon", "10s", " ", "3600001", "99999999999999999999"}) {
    const Answer answer = post(rest(), R"({"prompt":"hi"})", {{"content-type", "application/json"}, {"cf-aig-request-timeout", wrong}});
    if (std::string_view(wrong) == " ") continue;  // no value
    EXPECT_EQ(answer.status, 400) << wrong;
    EXPECT_NE(answer.body.find("cf-aig-request-timeout"), std::string::npos) << answer.body;
  }
}

}  // namespace
}  // namespace verge::api::testing
