#include "support/utf8.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

class BindingTest : public ApiTest {
 protected:
  Answer env_run(std::string_view body, http::Headers headers = {}) {
    headers.push_back({"content-type", "application/json"});
    headers.push_back({"cf-consn-sdk-version", "2.0.0"});
    if (!http::has_header(headers, "cf-consn-model-id")) headers.push_back({"cf-consn-model-id", kModel});
    return post("/run?version=3", body, headers);
  }
};

TEST_F(BindingTest, AnswersBareWithTheExactContentType) {
  Answer answer = env_run(R"({"inputs":{"prompt":"hi"},"options":{}})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(answer.json().at("response"), "Hello wörld");
  EXPECT_FALSE(answer.json().as_object().contains("success"));
  EXPECT_FALSE(answer.header("cf-ai-req-id").empty());
}

TEST_F(BindingTest, Streams) {
  Answer answer = env_run(R"({"inputs":{"prompt":"hi","stream":true},"options":{"returnRawResponse":true}})");
  EXPECT_EQ(answer.header("content-type"), "text/event-stream");
  EXPECT_EQ(answer.events().back(), "[DONE]");
}

TEST_F(BindingTest, OptionsPrefixAndGateway) {
  env_run(R"({"inputs":{"prompt":"hi"},"options":{"rejectIfBusy":true}})", {{"cf-consn-model-id", "dev:@cf/meta/llama-3.2-1b-instruct"}});
  EXPECT_TRUE(service_.requests().at(0).reject_if_busy);
  EXPECT_EQ(service_.requests().at(0).model, kModel);
  EXPECT_EQ(
      post("/ai-gateway/run?version=3", R"({"inputs":{"prompt":"x"},"options":{"gateway":{"id":"g"}}})", {{"cf-consn-model-id", kModel}})
          .status,
      200);
}

TEST_F(BindingTest, ErrorsAreWhatWorkerdReads) {
  Answer answer = env_run(R"({"inputs":{"prompt":"hi","top_k":60}})");
  EXPECT_EQ(answer.status, 400);
  json::value body = answer.json();
  EXPECT_EQ(body.at("internalCode"), 5006);
  EXPECT_EQ(body.at("name"), "AiError");
  EXPECT_EQ(body.at("httpCode"), 400);
  EXPECT_EQ(body.at("requestId"), json::string(answer.header("cf-ai-req-id")));
  EXPECT_NE(body.at("description").as_string().find("'/top_k' must be <= 50"), json::string::npos);
  EXPECT_EQ(code_of(answer), 5006);
  body = env_run(R"({"inputs":{"prompt":"x"}})", {{"cf-consn-model-id", "@cf/no/such"}}).json();
  EXPECT_EQ(body.at("internalCode"), 5007);
  EXPECT_EQ(body.at("description"), "No such model @cf/no/such or task");
  service_.say({failure(Code::Busy, "")});
  body = env_run(R"({"inputs":{"prompt":"x"}})").json();
  EXPECT_EQ(body.at("internalCode"), 3040);
  EXPECT_EQ(body.at("description"), "Capacity temporarily exceeded, please try again.");
  service_.say({failure(Code::QuotaUsed, "")});
  EXPECT_EQ(env_run(R"({"inputs":{"prompt":"x"}})").json().at("internalCode"), 3036);
}

TEST_F(BindingTest, MalformedRequests) {
  EXPECT_EQ(post("/run?version=3", R"({"inputs":{"prompt":"x"}})").status, 400);
  EXPECT_EQ(env_run("").status, 400);
  EXPECT_EQ(env_run("[]").status, 400);
  EXPECT_EQ(env_run(R"({"prompt":"x"})").status, 400);
  EXPECT_EQ(env_run(R"({"inputs":null})").status, 400);
  EXPECT_EQ(env_run(R"({"inputs":"x"})").status, 400);
  EXPECT_EQ(env_run(R"({"inputs":{"prompt":"x"},"options":{"queueRequest":true}})").status, 400);
  EXPECT_EQ(post("/run?version=3&userInputs=%7B%7D", "raw bytes", {{"cf-consn-model-id", kModel}, {"content-type", "image/png"}}).status,
            400);
  EXPECT_EQ(get("/run?version=3").status, 405);
  EXPECT_EQ(get("/run?version=3&body=%7B%7D", {{"upgrade", "websocket"}, {"connection", "upgrade"}}).status, 400);
  EXPECT_EQ(post("/to-everything/markdown/transformer", "{}").json().at("errors").at(0).at("code"), 5006);
}

// Whatever a converter or a file's name holds, the answer is UTF-8; the media type with its charset goes to the converter.
TEST_F(BindingTest, MarkdownAnswersAreUtf8) {
  Options options;
  options.markdown_kind = [](std::string_view, std::string_view) { return std::string("text"); };
  options.convert = [](std::string, std::string media_type, std::string bytes) -> http::task<Result<std::string>> {
    if (bytes == "fails") co_return fail(Code::InvalidInput, "caf\xe9 in {}", media_type);
    co_return "caf\xe9 " + media_type;
  };
  start(std::move(options));
  Answer answer = post("/to-everything/markdown/transformer",
                       R"({"files":[{"name":"a.txt","mimeType":"text/plain; charset=koi8-r","data":"YQ=="},{"name":"b.txt","mimeType":"x","data":"ZmFpbHM="}]})",
                       {{"content-type", "application/json"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(is_utf8(answer.body));
  const json::value files = answer.json().at("result");
  EXPECT_EQ(files.at(0).at("data"), "caf\xef\xbf\xbd text/plain; charset=koi8-r");
  EXPECT_EQ(files.at(1).at("format"), "error");
  EXPECT_EQ(files.at(1).at("error"), "caf\xef\xbf\xbd in x");
}

TEST_F(BindingTest, WranglersProxyFormIsUndone) {
  const http::Headers headers{{"X-Forwarded", "https://workers-binding.ai/run?version=3"}, {"content-type", "application/json"}, {"cf-consn-model-id", kModel}};
  Answer answer = post("/client/v4/accounts/a/ai/run/proxy", R"({"inputs":{"prompt":"hi"},"options":{}})", headers);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json().at("response"), "Hello wörld");
  EXPECT_NE(post("/client/v4/accounts/a/ai/run/proxy", "{}", {{"X-Forwarded", "https://evil.example/run"}}).status, 200);
}

TEST_F(BindingTest, MiniflareWrappedRequestsAreUndone) {
  http::Headers headers{{"MF-URL", "https://workers-binding.ai/run?version=3"}, {"MF-Binding", "AI"}};
  headers.push_back({"MF-Header-content-type", "application/json"});
  headers.push_back({"MF-Header-cf-consn-model-id", kModel});
  headers.push_back({"MF-Header-x-session-affinity", "ses_9"});
  Answer answer = post("/", R"({"inputs":{"prompt":"hi"},"options":{}})", headers);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json().at("response"), "Hello wörld");
  EXPECT_EQ(service_.requests().at(0).affinity, "ses_9");
  answer = get("/", {{"MF-URL", "https://workers-binding.ai/ai-api/models/search?per_page=2"}});
  EXPECT_EQ(answer.json().at("result").as_array().size(), 2u);
  EXPECT_EQ(get("/", {{"MF-URL", "https://evil.example/run"}}).status, 404);
  EXPECT_EQ(get("/", {{"MF-URL", "https://workers-binding.ai/%zz"}}).status, 404);
}

TEST_F(BindingTest, ModelsAreUnderResult) {
  json::value body = get("/ai-api/models/search?task=Text%20Generation&per_page=5").json();
  EXPECT_EQ(body.at("result").as_array().size(), 5u);
}

}  // namespace
}  // namespace verge::api::testing
