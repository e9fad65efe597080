#include "support/uuid.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

using RestTest = ApiTest;

TEST_F(RestTest, AnswersInTheEnvelope) {
  Answer answer = run(R"({"prompt":"hi"})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  json::value body = answer.json();
  EXPECT_EQ(body.at("success"), true);
  EXPECT_TRUE(body.at("errors").as_array().empty());
  EXPECT_TRUE(body.at("messages").as_array().empty());
  EXPECT_EQ(body.at("result").at("response"), "Hello wörld");
  json::value usage =
      json::parse(R"({"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0}})");
  EXPECT_EQ(body.at("result").at("usage"), usage);
}

// As curl -F files=@…, and the SDKs, send documents.
TEST_F(RestTest, DocumentsBecomeMarkdown) {
  Options options;
  options.markdown_kind = [](std::string_view name, std::string_view) { return std::string(name.ends_with(".html") ? "html" : ""); };
  options.convert = [](std::string kind, std::string media_type, std::string bytes) -> http::task<Result<std::string>> {
    co_return fmt::format("{} of {}: {}", kind, media_type, bytes);
  };
  options.markdown_supported = {{".html", "text/html"}};
  start(std::move(options));
  const auto part = [](std::string_view disposition, std::string_view data) {
    return fmt::format("--b\r\nContent-Disposition: form-data; {}\r\nContent-Type: text/html; charset=koi8-r\r\n\r\n{}\r\n", disposition, data);
  };
  const auto form = [&](const std::string& body, std::string_view type = "multipart/form-data; boundary=b") {
    return post("/client/v4/accounts/a/ai/tomarkdown", body + "--b--\r\n", {{"content-type", std::string(type)}});
  };
  for (const char* name : {"files", "files[]", "files[0]"}) {
    const Answer answer = form(part(fmt::format("name=\"{}\"; filename=\"a.html\"", name), "<p>1") + part(fmt::format("name=\"{}\"; filename*=UTF-8''n%C3%AF.html", name), "<p>2") +
                               part(fmt::format("name=\"{}\"; filename=\"c.exe\"", name), "3") + part("name=\"conversionOptions\"", "{}"));
    ASSERT_EQ(answer.status, 200) << answer.body;
    const json::value body = answer.json();
    EXPECT_EQ(body.at("success"), true);
    const json::value& files = body.at("result");
    ASSERT_EQ(files.as_array().size(), 3u);
    EXPECT_EQ(files.at(0).at("name"), "a.html");
    EXPECT_EQ(files.at(0).at("mimeType"), "text/html; charset=koi8-r");
    EXPECT_EQ(files.at(0).at("format"), "markdown");
    EXPECT_EQ(files.at(0).at("data"), "html of text/html; charset=koi8-r: <p>1");
    EXPECT_EQ(files.at(1).at("name"), "n\xc3\xaf.html");
    EXPECT_EQ(files.at(1).at("tokens").as_int64(), 10);
    EXPECT_EQ(files.at(2).at("format"), "error");
  }
  for (const auto& [body, why] : {std::pair{part("name=\"other\"; filename=\"a.html\"", "x"), "'files'"}, {part("name=\"files\"", "x") + part("name=\"conversionOptions\"", "{\"pdf\":{\"metadata\":false}}"), "/conversionOptions"},
                                  {part("name=\"files\"", "x") + part("name=\"conversionOptions\"", "no"), "JSON"}}) {
    const Answer answer = form(body);
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find(why), std::string::npos) << answer.body;
  }
  EXPECT_NE(form("{}", "application/json").body.find("multipart/form-data"), std::string::npos);
  EXPECT_EQ(get("/client/v4/accounts/a/ai/tomarkdown/supported").json().at("result").at(0).at("extension"), ".html");
}

TEST_F(RestTest, HeadersNameRequestNodeAndModel) {
  Answer answer = run(R"({"prompt":"hi"})");
  EXPECT_TRUE(is_uuid(answer.header("cf-ai-req-id")));
  EXPECT_EQ(answer.header("cf-ai-req-id"), service_.requests().at(0).id);
  EXPECT_EQ(answer.header("verge-node"), "n1");
  EXPECT_EQ(answer.header("verge-model"), "@verge/stand-in");
  EXPECT_EQ(answer.header("verge-substituted"), "1");
}

TEST_F(RestTest, StreamsAsPublished) {
  Answer answer = run(R"({"prompt":"hi","stream":true})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "text/event-stream");
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body,
            "data: {\"response\":\"Hello\"}\n\ndata: {\"response\":\" wörld\"}\n\n"
            "data: "
            "{\"response\":\"\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10,\"prompt_tokens_details\":{"
            "\"cached_tokens\":0}}}\n\n"
            "data: [DONE]\n\n");
  EXPECT_EQ(answer.header("verge-model"), "@verge/stand-in");
}

TEST_F(RestTest, ModelMayBePercentEncoded) {
  EXPECT_EQ(post("/client/v4/accounts/a/ai/run/%40cf%2Fmeta%2Fllama-3.2-1b-instruct", R"({"prompt":"hi"})").status, 200);
  EXPECT_EQ(service_.requests().at(0).model, kModel);
  EXPECT_EQ(service_.requests().at(0).tenant, "a");
}

TEST_F(RestTest, UniversalFormNamesTheModelInTheBody) {
  Answer answer = post("/client/v4/accounts/a/ai/run", R"({"model":"@cf/meta/llama-3.2-1b-instruct","input":{"prompt":"hi"}})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json().at("result").at("response"), "Hello wörld");
  EXPECT_EQ(code_of(post("/client/v4/accounts/a/ai/run", R"({"input":{"prompt":"hi"}})")), 5006);
}

TEST_F(RestTest, BodyIsJsonWhateverItsContentType) {
  EXPECT_EQ(post(rest(), R"({"prompt":"hi"})", {{"content-type", "application/x-www-form-urlencoded"}}).status, 200);
  EXPECT_EQ(post(rest(), R"({"prompt":"hi"})", {{"content-type", "text/plain"}}).status, 200);
}

TEST_F(RestTest, ParametersReachTheService) {
  run(R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"temperature":0,"top_p":0.9,"top_k":40,"seed":42,"repetition_penalty":1.1,
          "frequency_penalty":-0.5,"presence_penalty":0.5,"options":{"rejectIfBusy":true}})");
  protocol::Request request = service_.requests().at(0);
  EXPECT_EQ(request.task, "text-generation");
  EXPECT_EQ(request.seed, 42u);
  EXPECT_TRUE(request.reject_if_busy);
  EXPECT_EQ(json::value(request.params),
            json::parse(R"({"messages":[{"role":"user","content":"hi"}],"raw":false,"max_tokens":5,"temperature":0.0,"top_p":0.9,
    "top_k":40,"repetition_penalty":1.1,"frequency_penalty":-0.5,"presence_penalty":0.5})"));
}

TEST_F(RestTest, DefaultsAreThePublishedOnes) {
  run(R"({"prompt":"hi"})");
  post(rest("@cf/meta/llama-4-scout-17b-16e-instruct"), R"({"prompt":"hi"})");
  post(rest("@cf/google/gemma-4-26b-a4b-it"), R"({"prompt":"hi"})");
  auto requests = service_.requests();
  EXPECT_EQ(requests.at(0).params.at("max_tokens"), 256);
  EXPECT_EQ(requests.at(0).params.at("temperature"), 0.6);
  EXPECT_EQ(requests.at(0).params.at("raw"), false);
  EXPECT_EQ(requests.at(1).params.at("temperature"), 0.15);
  EXPECT_FALSE(requests.at(2).params.contains("max_tokens"));
  EXPECT_EQ(requests.at(2).params.at("temperature"), 1.0);
  EXPECT_NE(requests.at(0).seed, requests.at(1).seed);
}

// The worker says what does not fit, as error 5021 with the window's size.
TEST_F(RestTest, MoreTokensThanAnyWindowAreTheWorkersToRefuse) {
  for (const char* most : {"2147483647", "9007199254740991", "99999999999999999999"}) {
    EXPECT_EQ(run(fmt::format(R"({{"prompt":"x","max_tokens":{}}})", most)).status, 200) << most;
    EXPECT_EQ(service_.requests().back().params.at("max_tokens"), 1 << 30);
    EXPECT_FALSE(service_.requests().back().params.contains("clamp_max_tokens"));
  }
}

TEST_F(RestTest, HeadersOfTheClientTravel) {
  post(rest(), R"({"prompt":"hi"})",
       {{"x-session-affinity", "ses_1"}, {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}});
  post(rest(), R"({"prompt":"hi"})", {{"x-session-affinity", std::string(200, 'x')}, {"traceparent", "nonsense"}});
  auto requests = service_.requests();
  EXPECT_EQ(requests.at(0).affinity, "ses_1");
  EXPECT_EQ(requests.at(0).traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  EXPECT_EQ(requests.at(1).affinity, "");
  EXPECT_EQ(requests.at(1).traceparent, "");
}

TEST_F(RestTest, OpenAiShapedModelsAnswerSoOnTheNativeRoute) {
  Answer answer = post(rest("@cf/qwen/qwen3-30b-a3b-fp8"), R"({"messages":[{"role":"user","content":"hi"}]})");
  json::value result = answer.json().at("result");
  EXPECT_EQ(result.at("object"), "chat.completion");
  EXPECT_EQ(result.at("choices").at(0).at("message").at("content"), "Hello wörld");
  EXPECT_EQ(result.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(post(rest("@cf/qwen/qwen3-30b-a3b-fp8"), R"({"prompt":"hi"})").json().at("result").at("choices").at(0).at("text"),
            "Hello wörld");
  auto events = post(rest("@cf/qwen/qwen3-30b-a3b-fp8"), R"({"prompt":"hi","stream":true})").events();
  EXPECT_EQ(json::parse(events.at(0)).at("response"), "Hello");
  EXPECT_EQ(json::parse(events.at(events.size() - 2)).at("response"), "");
  EXPECT_EQ(json::parse(events.at(events.size() - 2)).at("usage").at("total_tokens"), 10);
  EXPECT_EQ(events.back(), "[DONE]");
}

TEST_F(RestTest, KeepsAConnectionAlive) {
  start();
  Connection connection(server_->port());
  for (int i = 0; i < 3; ++i) {
    connection.send(request("POST", rest(), i == 1 ? R"({"prompt":5})" : R"({"prompt":"hi"})"));
    EXPECT_EQ(connection.read_answer().status, i == 1 ? 400 : 200);
  }
}

struct Bad {
  const char* name;
  const char* body;
  int status;
  int code;
  const char* named;  // part of the message
};
class RestBadInput : public ApiTest, public ::testing::WithParamInterface<Bad> {};

TEST_P(RestBadInput, IsAnsweredAsPublished) {
  Answer answer = run(GetParam().body);
  EXPECT_EQ(answer.status, GetParam().status) << answer.body;
  json::value body = answer.json();
  EXPECT_EQ(body.at("success"), false);
  EXPECT_EQ(body.at("result"), json::object());
  EXPECT_EQ(code_of(answer), GetParam().code);
  EXPECT_NE(message_of(answer).find(GetParam().named), std::string::npos) << message_of(answer);
  EXPECT_NE(message_of(answer).find("(" + answer.header("cf-ai-req-id") + ")"), std::string::npos);
  EXPECT_TRUE(service_.requests().empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, RestBadInput,
    ::testing::Values(
        Bad{"NotJson", "{nope", 400, 5006, "AiError: Bad input: Error: invalid JSON"}, Bad{"Empty", "", 400, 5006, "no body"},
        Bad{"Array", "[1]", 400, 5006, "'object'"},
        Bad{"Nothing", "{}", 400, 5006,
            "AiError: Bad input: Error: oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', required properties at "
            "'/' are 'messages'"},
        Bad{"PromptNumber", R"({"prompt":5})", 400, 5006, "Type mismatch of '/prompt'"},
        Bad{"PromptEmpty", R"({"prompt":""})", 400, 5006, "/prompt"},
        Bad{"Both", R"({"prompt":"x","messages":[]})", 400, 5006, "2 matches"},
        Bad{"MaxTokensNegative", R"({"prompt":"x","max_tokens":-1})", 400, 5006, "'/max_tokens' must be >= 1"},
        Bad{"MaxTokensZero", R"({"prompt":"x","max_tokens":0})", 400, 5006, "'/max_tokens' must be >= 1"},
        Bad{"MaxTokensText", R"({"prompt":"x","max_tokens":"5"})", 400, 5006, "/max_tokens"},
        Bad{"TemperatureHigh", R"({"prompt":"x","temperature":99})", 400, 5006, "'/temperature' must be <= 5"},
        Bad{"TemperatureInfinite", R"({"prompt":"x","temperature":1e999})", 400, 5006, ""},
        Bad{"TopP", R"({"prompt":"x","top_p":0})", 400, 5006, "'/top_p' must be >= 0.001"},
        Bad{"TopK", R"({"prompt":"x","top_k":60})", 400, 5006, "'/top_k' must be <= 50"},
        Bad{"Seed", R"({"prompt":"x","seed":0})", 400, 5006, "'/seed' must be >= 1"},
        Bad{"Penalty", R"({"prompt":"x","frequency_penalty":3})", 400, 5006, "'/frequency_penalty' must be <= 2"},
        Bad{"Stream", R"({"prompt":"x","stream":"maybe"})", 400, 5006, "/stream"},
        Bad{"NoMessages", R"({"messages":[]})", 400, 5006, "/messages"},
        Bad{"Role", R"({"messages":[{"role":"wizard","content":"x"}]})", 400, 5006, "/messages/0/role"},
        Bad{"ContentNumber", R"({"messages":[{"role":"user","content":5}]})", 400, 5006, "/messages/0/content"},
        Bad{"ContentMissing", R"({"messages":[{"role":"user"}]})", 400, 5006, "required properties at '/messages/0' are 'role,content'"},
        Bad{"Picture", R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}]})", 400, 5006,
            "/messages/0/content/0"},
        Bad{"Tools",
            R"({"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f g","description":"d","parameters":{"type":"object","properties":{}}}]})",
            400, 5006, "'/tools/0/name'"},
        Bad{"ResponseFormat", R"({"prompt":"x","response_format":{"type":"yaml"}})", 400, 5006, "'/response_format"},
        Bad{"Lora", R"({"prompt":"x","lora":"mine"})", 405, 5005, "lora"},
        Bad{"Image", R"({"prompt":"x","image":[1,2]})", 400, 5006, "'/image'"},
        Bad{"Guided", R"({"prompt":"x","guided_json":5})", 400, 5006, "'/guided_json'"},
        Bad{"Queue", R"({"prompt":"x","options":{"queueRequest":true}})", 400, 5006, "queueRequest"},
        Bad{"Stop", R"({"prompt":"x","stop":[1]})", 400, 5006, "/stop/0"},
        Bad{"LogitBiasKey", R"({"prompt":"x","logit_bias":{"a":1}})", 400, 5006, "/logit_bias"},
        Bad{"LogitBiasRange", R"({"prompt":"x","logit_bias":{"1":500}})", 400, 5006, "/logit_bias/1"},
        Bad{"Kwargs", R"({"prompt":"x","chat_template_kwargs":[]})", 400, 5006, "/chat_template_kwargs"},
        Bad{"InvalidUtf8", "{\"prompt\":\"\xff\xfe\"}", 400, 5006, "invalid JSON"}),
    [](const auto& info) { return info.param.name; });

TEST_F(RestTest, UnbuiltParametersThatAskForNothingAreTaken) {
  EXPECT_EQ(run(R"({"messages":[{"role":"user","content":"x"}],"tools":[],"response_format":null,"lora":null})").status, 200);
  EXPECT_EQ(run(R"({"prompt":"x","unknown_thing":{"a":1}})").status, 200);
}

TEST_F(RestTest, StringBooleansAreTaken) {
  EXPECT_EQ(run(R"({"prompt":"x","raw":"true","stream":"false"})").status, 200);
  EXPECT_EQ(service_.requests().at(0).params.at("raw"), true);
}

TEST_F(RestTest, PartsAndDeveloperRoleAreNormalised) {
  run(R"({"messages":[{"role":"developer","content":"be brief"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]})");
  EXPECT_EQ(service_.requests().at(0).params.at("messages"),
            json::parse(R"([{"role":"system","content":"be brief"},{"role":"user","content":"a\nb"}])"));
}

TEST_F(RestTest, PartsOfAReplayedHistoryAreText) {
  const char* const kMessages = R"({"messages":[{"role":"user","content":[{"type":"input_text","text":"a"}],"name":null},
    {"role":"assistant","content":[{"type":"refusal","refusal":"no"}],"tool_calls":null},{"role":"assistant","content":[{"type":"output_text","text":"b"}]},{"role":"user","content":"c"}]})";
  const Answer answer = run(kMessages);
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value messages = service_.requests().back().params.at("messages");
  EXPECT_EQ(messages.at(1).at("content"), "no");
  EXPECT_EQ(messages.at(2).at("content"), "b");
  const Answer bound = post("/run?version=3", std::string(R"({"inputs":)") + kMessages + "}", {{"cf-consn-model-id", kModel}});
  EXPECT_EQ(bound.status, 200) << bound.body;
  EXPECT_EQ(service_.requests().back().params.at("messages"), messages);
}

TEST_F(RestTest, ADefaultOfTokensShrinksAndAWishDoesNot) {
  run(R"({"prompt":"x"})");
  EXPECT_EQ(service_.requests().back().params.at("clamp_max_tokens"), true);
  run(R"({"prompt":"x","max_tokens":null})");
  EXPECT_EQ(service_.requests().back().params.at("clamp_max_tokens"), true);
  run(R"({"prompt":"x","max_tokens":100})");
  EXPECT_FALSE(service_.requests().back().params.contains("clamp_max_tokens"));
}

TEST_F(RestTest, PicturesComeAsTextToo) {
  const std::string url = rest("@cf/microsoft/resnet-50");
  for (const char* image : {R"("iVBO")", R"("data:image/png;base64,iVBO")", R"({"body":"iVBO","contentType":"image/png"})", R"({"type":"Buffer","data":[137,80,78]})",
                            R"({"0":137,"1":80,"2":78})", "[137,80,78]"}) {
    const Answer answer = post(url, fmt::format(R"({{"image":{}}})", image), {{"content-type", "application/json"}});
    ASSERT_EQ(answer.status, 200) << image << answer.body;
    EXPECT_EQ(service_.requests().back().payload.view(), "\x89PN") << image;
  }
  for (const char* wrong : {R"("https://example.com/cat.jpg")", R"("*")", R"("")", "{}", "7"})
    EXPECT_EQ(post(url, fmt::format(R"({{"image":{}}})", wrong), {{"content-type", "application/json"}}).status, 400) << wrong;
}

TEST_F(RestTest, UnknownModels) {
  for (const char* id : {"@cf/nobody/nothing", "x", "@cf/../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "@cf/meta/llama%0d%0aX-Y:%20z"}) {
    Answer answer = post(rest(id), R"({"prompt":"x"})");
    EXPECT_EQ(answer.status, 400) << id;
    EXPECT_EQ(code_of(answer), 5007);
  }
  EXPECT_NE(message_of(post(rest("@cf/a/b"), "{}")).find("AiError: No such model @cf/a/b or task"), std::string::npos);
}

TEST_F(RestTest, UnknownRoutesAndMethods) {
  Answer answer = post("/client/v4/accounts/a/ai/nothing", "{}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(code_of(answer), 7000);
  EXPECT_EQ(answer.json().at("result"), nullptr);
  EXPECT_EQ(message_of(answer), "No route for that URI");
  answer = get("/nowhere");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(code_of(answer), 7003);
  answer = ask("DELETE", rest());
  EXPECT_EQ(answer.status, 405);
  EXPECT_NE(answer.header("allow").find("POST"), std::string::npos);
  EXPECT_FALSE(answer.header("cf-ai-req-id").empty());
}

TEST_F(RestTest, QueueRequestInTheQueryIsRefused) {
  Answer answer = post(rest() + "?queueRequest=true", R"({"requests":[{"prompt":"x"}]})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(message_of(answer).find("queueRequest"), std::string::npos);
}

TEST_F(RestTest, TooLargeABodyIsRefusedUnread) {
  start();
  Connection connection(server_->port());
  connection.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n", rest()));
  Answer answer = connection.read_answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(code_of(answer), 3006);
}

TEST_F(RestTest, DeepJsonIsRefused) {
  for (char open : {'[', '{'}) {
    std::string body;
    for (int i = 0; i < 100000; ++i) body += open == '[' ? "[" : "{\"a\":";
    Answer answer = run(body);
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(code_of(answer), 5006);
  }
  EXPECT_EQ(run(R"({"prompt":"still there"})").status, 200);
}

struct Failed {
  Code code;
  int status;
  int published;
  const char* named;
};
class RestFailure : public ApiTest, public ::testing::WithParamInterface<Failed> {};

TEST_P(RestFailure, OfTheServiceIsAnsweredAsPublished) {
  const Failed& wanted = GetParam();
  for (const char* body : {R"({"prompt":"x"})", R"({"prompt":"x","stream":true})"}) {
    // A failed load that may be tried again is a shortage, see below.
    service_.say({failure(wanted.code, "secret cause", 155740, 128000, wanted.code == Code::LoadFailed ? 0 : 2500)});
    Answer answer = run(body);
    EXPECT_EQ(answer.status, wanted.status);
    EXPECT_EQ(answer.header("content-type"), "application/json");
    EXPECT_EQ(code_of(answer), wanted.published);
    EXPECT_NE(message_of(answer).find(wanted.named), std::string::npos) << message_of(answer);
    bool retry = wanted.code == Code::Busy || wanted.code == Code::QuotaUsed || wanted.code == Code::RateLimited || wanted.code == Code::WorkerGone;
    EXPECT_EQ(answer.header("retry-after"), retry ? "3" : "");
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RestFailure,
    ::testing::Values(
        Failed{Code::ContextOverflow, 413, 5021,
               "The estimated number of input and maximum output tokens (155740) exceeded this model context window limit (128000)."},
        Failed{Code::Busy, 429, 3040, "Capacity temporarily exceeded, please try again."},
        Failed{Code::QuotaUsed, 429, 3036, "You have used up your daily free allocation of 0.128 neurons. It is renewed at 00:00 UTC."},
        Failed{Code::RateLimited, 429, 3040, "secret cause"}, Failed{Code::Timeout, 408, 3046, "Request timeout"},
        Failed{Code::ModelUnavailable, 404, 3042, "secret cause"}, Failed{Code::InvalidInput, 400, 5006, "Bad input: Error: secret cause"},
        Failed{Code::WorkerGone, 503, 5001, "secret cause"}, Failed{Code::LoadFailed, 500, 5001, "secret cause"},
        Failed{Code::Internal, 500, 5001, "Internal server error"}, Failed{Code::Io, 500, 5001, "Internal server error"}));

TEST_F(RestTest, AShortageSaysThatItIsOneAndWhenToTryAgain) {
  service_.say({failure(Code::LoadFailed, "model @x/m cannot be loaded at the moment", 0, 0, 5000)});
  const Answer answer = run(R"({"prompt":"x"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "5");
  EXPECT_NE(message_of(answer).find("at the moment"), std::string::npos);
}

// A limit that is no number of bytes is not called one.
TEST_F(RestTest, ALimitOfSecondsIsToldInSeconds) {
  service_.say({failure(Code::TooLarge, "the audio is longer than 7200 s")});
  const Answer answer = run(R"({"prompt":"x"})");
  EXPECT_EQ(answer.status, 413);
  EXPECT_NE(message_of(answer).find("longer than 7200 s"), std::string::npos);
  EXPECT_EQ(message_of(answer).find("bytes"), std::string::npos);
}

TEST_F(RestTest, CauseOfAnInternalErrorStaysInside) {
  service_.say({failure(Code::Internal, "pointer 0xdead")});
  EXPECT_EQ(run(R"({"prompt":"x"})").body.find("0xdead"), std::string::npos);
}

}  // namespace
}  // namespace verge::api::testing
