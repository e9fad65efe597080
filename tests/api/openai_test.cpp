#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

class OpenAiTest : public ApiTest {
 protected:
  static constexpr const char* kChat = "/client/v4/accounts/acc/ai/v1/chat/completions";
  static constexpr const char* kText = "/client/v4/accounts/acc/ai/v1/completions";
  Answer chat(std::string more = "") {
    return post(kChat, R"({"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{"role":"user","content":"hi"}])" + more + "}");
  }
  Answer text(std::string more = "") { return post(kText, R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":"hi")" + more + "}"); }
};

protocol::Token with_logprob(int32_t id, std::string text, float logprob) {
  protocol::Token out = token(id, text);
  protocol::TokenLogprob entry;
  entry.chosen = {id, text, logprob};
  entry.top.push_back({id, text, logprob});
  entry.top.push_back({id + 1, "\xE2\x82", -3.5f});  // the start of a character
  out.logprobs.push_back(std::move(entry));
  return out;
}

TEST_F(OpenAiTest, ChatAnswersWithABareObject) {
  Answer answer = chat();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  json::value body = answer.json();
  EXPECT_EQ(body.at("object"), "chat.completion");
  EXPECT_EQ(body.at("id"), json::string("chatcmpl-" + answer.header("cf-ai-req-id")));
  EXPECT_EQ(body.at("model"), kModel);
  EXPECT_GT(body.at("created").as_int64(), 1700000000);
  json::value choice = json::parse(
      R"({"index":0,"message":{"role":"assistant","content":"Hello wörld","refusal":null},"logprobs":null,"finish_reason":"stop"})");
  EXPECT_EQ(body.at("choices").at(0), choice);
  EXPECT_EQ(body.at("usage").at("total_tokens"), 10);
  EXPECT_EQ(service_.requests().at(0).params.if_contains("max_tokens"), nullptr);
}

TEST_F(OpenAiTest, PlainRoutesAnswerTheSame) {
  EXPECT_EQ(
      post("/v1/chat/completions", R"({"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{"role":"user","content":"hi"}]})").status,
      200);
  EXPECT_EQ(post("/v1/completions", R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":"hi"})").status, 200);
  EXPECT_EQ(get("/v1/models").status, 200);
}

TEST_F(OpenAiTest, ChatStreams) {
  Answer answer = chat(R"(,"stream":true,"stream_options":{"include_usage":true})");
  EXPECT_EQ(answer.header("content-type"), "text/event-stream");
  auto events = answer.events();
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(json::parse(events[0]).at("choices").at(0).at("delta"), json::parse(R"({"role":"assistant","content":""})"));
  EXPECT_EQ(json::parse(events[1]).at("choices").at(0).at("delta"), json::parse(R"({"content":"Hello"})"));
  EXPECT_EQ(json::parse(events[1]).at("object"), "chat.completion.chunk");
  EXPECT_EQ(json::parse(events[1]).at("usage"), nullptr);
  EXPECT_EQ(json::parse(events[1]).at("choices").at(0).at("finish_reason"), nullptr);
  EXPECT_EQ(json::parse(events[2]).at("choices").at(0).at("delta").at("content"), " wörld");
  EXPECT_EQ(json::parse(events[3]).at("choices").at(0).at("delta"), json::object());
  EXPECT_EQ(json::parse(events[3]).at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_TRUE(json::parse(events[4]).at("choices").as_array().empty());
  EXPECT_EQ(json::parse(events[4]).at("usage").at("completion_tokens"), 3);
  EXPECT_EQ(events[5], "[DONE]");
}

TEST_F(OpenAiTest, UsageOnlyWhereAskedFor) {
  Answer answer = chat(R"(,"stream":true)");
  EXPECT_EQ(answer.body.find("usage"), std::string::npos);
  EXPECT_EQ(answer.events().back(), "[DONE]");
}

TEST_F(OpenAiTest, CompletionsAnswerAndStream) {
  json::value body = text(R"(,"max_tokens":9)").json();
  EXPECT_EQ(body.at("object"), "text_completion");
  EXPECT_EQ(body.at("choices").at(0), json::parse(R"({"index":0,"text":"Hello wörld","logprobs":null,"finish_reason":"stop"})"));
  protocol::Request request = service_.requests().at(0);
  EXPECT_EQ(request.params.at("raw"), true);
  EXPECT_EQ(request.params.at("max_tokens"), 9);
  auto events = text(R"(,"stream":true)").events();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(json::parse(events[0]).at("choices").at(0).at("text"), "Hello");
  EXPECT_EQ(json::parse(events[2]).at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(service_.requests().at(1).params.at("max_tokens"), 16);
}

TEST_F(OpenAiTest, SeveralAnswersHaveSeedsOfTheirOwn) {
  json::value body = chat(R"(,"n":3,"seed":5)").json();
  ASSERT_EQ(body.at("choices").as_array().size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(body.at("choices").at(static_cast<size_t>(i)).at("index"), i);
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 7);
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 9);
  auto requests = service_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].seed, 5u);
  EXPECT_NE(requests[1].seed, requests[2].seed);
  EXPECT_NE(requests[0].id, requests[1].id);
}

TEST_F(OpenAiTest, SeveralAnswersStreamWithTheirIndex) {
  auto events = chat(R"(,"n":2,"stream":true)").events();
  std::string texts[2];
  int roles[2] = {}, ends[2] = {};
  EXPECT_EQ(events.back(), "[DONE]");
  events.pop_back();
  for (const std::string& event : events) {
    json::value choice = json::parse(event).at("choices").at(0);
    auto index = static_cast<size_t>(choice.at("index").as_int64());
    ASSERT_LT(index, 2u);
    const json::object& delta = choice.at("delta").as_object();
    roles[index] += delta.contains("role");
    ends[index] += !choice.at("finish_reason").is_null();
    if (auto content = get_string(delta, "content")) texts[index] += *content;
  }
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(texts[i], "Hello wörld");
    EXPECT_EQ(roles[i], 1);
    EXPECT_EQ(ends[i], 1);
  }
}

TEST_F(OpenAiTest, ListOfPromptsGivesAnAnswerEach) {
  json::value body = post(kText, R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":["a","b"],"n":2})").json();
  ASSERT_EQ(body.at("choices").as_array().size(), 4u);
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 14);
  auto requests = service_.requests();
  EXPECT_EQ(requests[0].params.at("prompt"), "a");
  EXPECT_EQ(requests[1].params.at("prompt"), "a");
  EXPECT_EQ(requests[2].params.at("prompt"), "b");
}

TEST_F(OpenAiTest, ChatLogprobs) {
  service_.say({accepted(), with_logprob(1, "Hi", -0.25f), with_logprob(3, "\xF0\x9F", -1.0f), usage(7, 2), end("length")});
  json::value choice = chat(R"(,"logprobs":true,"top_logprobs":2)").json().at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "length");
  json::value first = choice.at("logprobs").at("content").at(0);
  EXPECT_EQ(first.at("token"), "Hi");
  EXPECT_EQ(first.at("logprob"), -0.25);
  EXPECT_EQ(first.at("bytes"), json::parse("[72,105]"));
  EXPECT_EQ(first.at("top_logprobs").as_array().size(), 2u);
  EXPECT_EQ(first.at("top_logprobs").at(1).at("bytes"), json::parse("[226,130]"));
  EXPECT_EQ(choice.at("logprobs").at("content").at(1).at("bytes"), json::parse("[240,159]"));
  EXPECT_EQ(service_.requests().at(0).params.at("logprobs"), 2);
  auto events = chat(R"(,"logprobs":true,"stream":true)").events();
  EXPECT_EQ(json::parse(events.at(1)).at("choices").at(0).at("logprobs").at("content").at(0).at("token"), "Hi");
  EXPECT_EQ(service_.requests().at(1).params.at("logprobs"), 0);
}

TEST_F(OpenAiTest, CompletionLogprobs) {
  service_.say({accepted(), with_logprob(1, "Hé", -0.25f), with_logprob(3, "x", -1.0f), usage(7, 2), end()});
  json::value logprobs = text(R"(,"logprobs":1)").json().at("choices").at(0).at("logprobs");
  EXPECT_EQ(logprobs.at("tokens"), json::parse(R"(["Hé","x"])"));
  EXPECT_EQ(logprobs.at("token_logprobs"), json::parse("[-0.25,-1.0]"));
  EXPECT_EQ(logprobs.at("text_offset"), json::parse("[0,2]"));
  EXPECT_EQ(logprobs.at("top_logprobs").at(0).as_object().size(), 2u);
}

TEST_F(OpenAiTest, ExtensionsReachTheService) {
  chat(R"(,"top_k":-1,"min_p":0.05,"repetition_penalty":1.2,"stop":"END","logit_bias":{"5":-100},"max_completion_tokens":7,"max_tokens":3,
        "chat_template_kwargs":{"enable_thinking":false},"ignore_eos":true,"user":"u","metadata":{},"store":false,"service_tier":"auto")");
  json::object params = service_.requests().at(0).params;
  EXPECT_FALSE(params.contains("top_k"));
  EXPECT_EQ(params.at("min_p"), 0.05);
  EXPECT_EQ(params.at("repetition_penalty"), 1.2);
  EXPECT_EQ(params.at("stop"), json::parse(R"(["END"])"));
  EXPECT_EQ(params.at("logit_bias"), json::parse(R"({"5":-100.0})"));
  EXPECT_EQ(params.at("max_tokens"), 3) << "both wishes are met";
  EXPECT_EQ(params.at("chat_template_kwargs"), json::parse(R"({"enable_thinking":false})"));
  EXPECT_EQ(params.at("ignore_eos"), true);
}

struct BadChat {
  const char* name;
  const char* more;
  const char* param;
};
class OpenAiBadInput : public OpenAiTest, public ::testing::WithParamInterface<BadChat> {};

TEST_P(OpenAiBadInput, NamesTheParameter) {
  Answer answer = chat(std::string(",") + GetParam().more);
  EXPECT_EQ(answer.status, 400) << answer.body;
  json::value error = answer.json().at("error");
  EXPECT_EQ(error.at("type"), "invalid_request_error");
  EXPECT_EQ(error.at("param"), GetParam().param);
  EXPECT_FALSE(error.at("message").as_string().empty());
  EXPECT_EQ(code_of(answer), 5006);
  EXPECT_TRUE(service_.requests().empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, OpenAiBadInput,
    ::testing::Values(
        BadChat{"Temperature", R"("temperature":2.5)", "temperature"}, BadChat{"N", R"("n":129)", "n"}, BadChat{"NZero", R"("n":0)", "n"},
        BadChat{"TopP", R"("top_p":-1)", "top_p"}, BadChat{"MaxTokens", R"("max_tokens":-3)", "max_tokens"},
        BadChat{"Tools", R"("tools":[{"type":"function","function":{"description":"f"}}])", "tools.0.function"},
        BadChat{"ToolChoice", R"("tool_choice":"required")", "tool_choice"},
        BadChat{"ResponseFormat", R"("response_format":{"type":"json_schema","json_schema":{"name":"x"}})", "response_format.json_schema"},
        BadChat{"Effort", R"("reasoning_effort":"much")", "reasoning_effort"},
        BadChat{"Audio", R"("modalities":["text","audio"])", "modalities"}, BadChat{"TopLogprobs", R"("top_logprobs":3)", "top_logprobs"},
        BadChat{"TopLogprobsHigh", R"("logprobs":true,"top_logprobs":21)", "top_logprobs"}, BadChat{"Seed", R"("seed":"x")", "seed"},
        BadChat{"Stop", R"("stop":5)", "stop"}, BadChat{"StreamOptions", R"("stream_options":[])", "stream_options"},
        BadChat{"Messages", R"("messages":"hi")", "messages"},
        BadChat{"FunctionMessage", R"("messages":[{"role":"function","content":"x","name":"f"}])", "messages.0.role"},
        BadChat{"ToolCalls", R"("messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}])", "messages.0.tool_calls.0"}),
    [](const auto& info) { return info.param.name; });

TEST_F(OpenAiTest, ErrorsCarryAnErrorObject) {
  Answer answer = post(kChat, R"({"model":"@cf/no/such","messages":[]})");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.json().at("error").at("code"), "model_not_found");
  EXPECT_EQ(answer.json().at("error").at("param"), "model");
  service_.say({failure(Code::ContextOverflow, "", 9000, 8192)});
  answer = chat(R"(,"stream":true)");
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.json().at("error").at("code"), "context_length_exceeded");
  EXPECT_NE(answer.json().at("error").at("message").as_string().find("(9000)"), json::string::npos);
  service_.say({failure(Code::Busy, "", 0, 0, 2000)});
  answer = chat();
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.header("retry-after"), "2");
  EXPECT_EQ(answer.json().at("error").at("type"), "rate_limit_error");
  EXPECT_EQ(post(kChat, "{}").json().at("error").at("param"), nullptr);
  EXPECT_EQ(post(kChat, "nope").status, 400);
}

TEST_F(OpenAiTest, WhatIsNotBuiltSaysSo) {
  Answer answer = post("/v1/images/generations", "{}");
  EXPECT_EQ(answer.json().at("error").at("message"), "No route for that URI");
}

TEST_F(OpenAiTest, EchoBeginsWithThePrompt) {
  EXPECT_EQ(text(R"(,"echo":true)").json().at("choices").at(0).at("text"), "hiHello wörld");
  const Answer many = post(kText, R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":["a","b"],"n":2,"echo":true})");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(many.json().at("choices").at(i).at("text"), i < 2 ? "aHello wörld" : "bHello wörld");
  std::string streamed;
  for (const std::string& event : text(R"(,"echo":true,"stream":true)").events())
    if (event != "[DONE]") streamed += json::parse(event).at("choices").at(0).at("text").as_string();
  EXPECT_EQ(streamed, "hiHello wörld");
  EXPECT_EQ(text(R"(,"echo":true,"logprobs":1)").json().at("error").at("param"), "echo");
}

TEST_F(OpenAiTest, CompletionPromptsOfOtherKinds) {
  EXPECT_EQ(post(kText, R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":[1,2,3]})").json().at("error").at("param"), "prompt");
  EXPECT_EQ(post(kText, R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":[]})").status, 400);
  EXPECT_EQ(post(kText, R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":["a","b"],"n":65})").status, 400);
  EXPECT_EQ(text(R"(,"best_of":2)").json().at("error").at("param"), "best_of");
  EXPECT_EQ(post(kText, R"({"model":"@cf/meta/llama-3.2-1b-instruct"})").status, 400);
}

TEST_F(OpenAiTest, WishesInsideAMessageAreRefusedOrNamed) {
  const auto ask = [&](std::string_view route, std::string_view member) {
    return post(std::string(route), fmt::format(R"({{"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{{"role":"user","content":"a"}},
                                   {{"role":"assistant","content":"b",{}}}]}})", member));
  };
  for (const char* name : {"prefix", "partial"}) {
    const Answer answer = ask(kChat, fmt::format("\"{}\":true", name));
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(std::string(answer.json().at("error").at("param").as_string()), fmt::format("messages.1.{}", name));
    EXPECT_EQ(ask(kChat, fmt::format("\"{}\":false", name)).status, 200);
  }
  EXPECT_EQ(ask(kChat, R"("weight":1,"annotations":[{"type":"x"}])").header("verge-ignored"), "messages.weight, messages.annotations");
  EXPECT_EQ(ask(kChat, R"("name":"x","refusal":null,"annotations":[],"tool_calls":[])").header("verge-ignored"), "");
}

TEST_F(OpenAiTest, MoreTokensThanThereIsRoomForAreClamped) {
  EXPECT_EQ(chat(R"(,"max_tokens":32000)").status, 200);
  EXPECT_EQ(service_.requests().back().params.at("max_tokens"), 32000);
  EXPECT_EQ(service_.requests().back().params.at("clamp_max_tokens"), true);
  for (const char* most : {"2147483647", "4294967295", "9007199254740991", "9223372036854775807", "18446744073709551616", "1e300"}) {
    for (const char* name : {"max_tokens", "max_completion_tokens"}) {
      EXPECT_EQ(chat(fmt::format(R"(,"{}":{})", name, most)).status, 200) << most;
      EXPECT_EQ(service_.requests().back().params.at("max_tokens"), 1 << 30) << "more than any window, and no overflow";
      EXPECT_EQ(service_.requests().back().params.at("clamp_max_tokens"), true);
    }
    EXPECT_EQ(text(fmt::format(R"(,"max_tokens":{})", most)).status, 200) << most;
  }
  for (const char* none : {R"(,"max_tokens":-1)", R"(,"max_tokens":-2)", R"(,"max_completion_tokens":-1)", R"(,"max_tokens":null)"}) {
    EXPECT_EQ(chat(none).status, 200) << none;
    EXPECT_FALSE(service_.requests().back().params.contains("max_tokens")) << none;
  }
  chat(R"(,"max_tokens":-1,"max_completion_tokens":9)");
  EXPECT_EQ(service_.requests().back().params.at("max_tokens"), 9);
  text(R"(,"max_tokens":-1)");
  EXPECT_FALSE(service_.requests().back().params.contains("max_tokens")) << "no limit is not the default of 16";
  text(R"(,"max_tokens":0)");
  EXPECT_EQ(service_.requests().back().params.at("max_tokens"), 0);
  text();
  EXPECT_EQ(service_.requests().back().params.at("clamp_max_tokens"), true) << "a default that does not fit shrinks";
}

TEST_F(OpenAiTest, ManyStopStringsPromptsAndAnswers) {
  std::string stops, prompts;
  for (int i = 0; i < 256; ++i) stops += fmt::format("{}\"\\nCharacter {}:\"", i ? "," : "", i);
  EXPECT_EQ(chat(",\"stop\":[" + stops + "]").status, 200);
  EXPECT_EQ(service_.requests().back().params.at("stop").as_array().size(), 256u);
  EXPECT_EQ(chat(",\"stop\":[" + stops + ",\"x\"]").status, 400);
  for (int i = 0; i < 64; ++i) prompts += fmt::format("{}\"p{}\"", i ? "," : "", i);
  const Answer answer = post(kText, fmt::format(R"({{"model":"@cf/meta/llama-3.2-1b-instruct","n":2,"prompt":[{}]}})", prompts));
  EXPECT_EQ(answer.json().at("choices").as_array().size(), 128u);
  // Each answer has the prompt in memory.
  const std::string large(2 << 20, 'x');
  EXPECT_EQ(post(kChat, fmt::format(R"({{"model":"@cf/meta/llama-3.2-1b-instruct","n":128,"messages":[{{"role":"user","content":"{}"}}]}})", large)).status, 400);
}

TEST_F(OpenAiTest, EffortOfReasoningIsForTheWorker) {
  EXPECT_EQ(chat(R"(,"reasoning_effort":null)").status, 200);
  EXPECT_FALSE(service_.requests().back().params.contains("reasoning_effort"));
  EXPECT_EQ(chat(R"(,"reasoning_effort":"none")").status, 200);
  EXPECT_EQ(service_.requests().back().params.at("reasoning_effort"), "none");
  EXPECT_EQ(text(R"(,"reasoning_effort":"none")").status, 200);
}

TEST_F(OpenAiTest, NullIsAbsentForEveryOptionalField) {
  std::string nulls;
  for (const char* name : {"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "n", "stop", "seed", "stream", "stream_options",
                           "logprobs", "top_logprobs", "logit_bias", "tools", "tool_choice", "functions", "response_format", "user", "metadata", "store",
                           "service_tier", "modalities", "audio", "prediction", "options", "chat_template_kwargs", "frequency_penalty", "presence_penalty"})
    nulls += fmt::format(",\"{}\":null", name);
  const Answer answer = chat(nulls);
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.header("verge-ignored"), "");
  EXPECT_EQ(post(kChat, R"({"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{"role":"user","content":"a","name":null},
    {"role":"assistant","content":null,"refusal":null,"tool_calls":null,"function_call":null,"audio":null},{"role":"user","content":"b"}]})").status, 200);
}

TEST_F(OpenAiTest, PartsOfAReplayedHistoryAreText) {
  const Answer answer = post(kChat, R"({"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{"role":"user","content":[{"type":"input_text","text":"a"}]},
    {"role":"assistant","content":[{"type":"output_text","text":"b","annotations":[]},{"type":"refusal","refusal":"no"}]},{"role":"user","content":"c"}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(post(kChat, R"({"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{"role":"assistant","content":[{"type":"refusal","text":"no"}]}]})").status, 400);
}

class OpenAiNames : public OpenAiTest {
 protected:
  Answer ask_for(const char* model) { return post(kChat, fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"hi"}}]}})", model)); }
};

TEST_F(OpenAiNames, AreAnsweredByWhatIsHereWithStandIns) {
  Options options;
  options.stand_ins = true;
  start(std::move(options));
  service_.script = [](const protocol::Request&, EventSink& sink) -> protocol::task<void> {
    protocol::Accepted taken = accepted();
    taken.substituted = false;  // the node is asked for the stand-in itself
    const bool taken_well = co_await sink.put(Event(taken));
    if (!taken_well) co_return;
    co_await sink.put(end());
  };
  for (const char* name : {"gpt-3.5-turbo", "gpt-4o", "gpt-4o-mini-2024-07-18", "gpt-4.1-nano", "gpt-5", "o3-mini", "openai/gpt-4o", "chatgpt-4o-latest"}) {
    const Answer answer = ask_for(name);
    ASSERT_EQ(answer.status, 200) << name << answer.body;
    EXPECT_EQ(answer.header("verge-substituted"), "1") << name;
    EXPECT_EQ(answer.json().at("model"), name);
    EXPECT_EQ(service_.requests().back().model, "@verge/smollm2-135m-instruct");
    EXPECT_EQ(get(fmt::format("/v1/models/{}", name)).json().at("id"), name);
  }
  // No model of these widths is known: vectors of two widths must not end in one index.
  for (const char* name : {"text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"}) {
    const Answer refused = post("/v1/embeddings", fmt::format(R"({{"model":"{}","input":"x"}})", name));
    EXPECT_EQ(refused.status, 404) << name;
    EXPECT_NE(refused.body.find("--stand-in"), std::string::npos) << refused.body;
  }
  for (const char* name : {"gpt-oss-20b", "gpt-2", "gpt-j-6b", "o1x", "gpt-4o-mini-tts", "gpt-4o-realtime-preview", "gpt-image-1", "text-embedding-3-small"})
    EXPECT_EQ(ask_for(name).json().at("error").at("code"), "model_not_found") << name;
}

TEST_F(OpenAiNames, AreAnsweredByAnotherModelWhereTheStandInIsNotHere) {
  Options options;
  options.stand_ins = true;
  options.offered = [] { return std::set<std::string>{"@cf/openai/whisper-tiny-en", "@cf/meta/llama-3.2-1b-instruct"}; };
  start(std::move(options));
  EXPECT_EQ(ask_for("gpt-4o").status, 200);
  EXPECT_EQ(service_.requests().back().model, kModel);
  for (const char* name : {"whisper-1", "gpt-4o-transcribe"}) {
    const std::string body = fmt::format("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{}\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; "
                                         "filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n", name);
    const Answer answer = post("/v1/audio/transcriptions", body, {{"content-type", "multipart/form-data; boundary=b"}});
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.header("verge-substituted"), "1");
    EXPECT_EQ(service_.requests().back().model, "@cf/openai/whisper-tiny-en");
  }
}

TEST_F(OpenAiNames, AreUnknownWithoutAndTheErrorSaysWhatToDo) {
  const Answer answer = ask_for("gpt-4o");
  EXPECT_EQ(answer.status, 404);
  EXPECT_NE(answer.body.find("--stand-ins"), std::string::npos);
  EXPECT_EQ(ask_for("gpt-j-6b").body.find("--stand-ins"), std::string::npos);
}

TEST_F(OpenAiTest, ListsWhatCanBeAskedNow) {
  Options options;
  options.offered = [] { return std::set<std::string>{"@cf/meta/llama-3.2-1b-instruct", "@verge/stories-260k"}; };
  start(std::move(options));
  std::vector<std::string> ids;
  const json::value listed = get("/v1/models").json();
  for (const json::value& model : listed.at("data").as_array()) ids.emplace_back(model.at("id").as_string());
  EXPECT_EQ(ids, (std::vector<std::string>{"@cf/meta/llama-3.2-1b-instruct", "@verge/stories-260k"}));
  EXPECT_EQ(get("/v1/models?include=unavailable").json().at("data").as_array().size(), catalogue_.all().size());
  EXPECT_EQ(get("/v1/models/@cf/meta/llama-3.2-1b-instruct").status, 200);
  EXPECT_EQ(get("/v1/models/@cf/meta/llama-3.2-3b-instruct").status, 404);
  EXPECT_EQ(get("/v1/models/@cf/meta/llama-3.2-3b-instruct?include=unavailable").json().at("available"), false);
  const std::string search = "/client/v4/accounts/a/ai/models/search?include_deprecated=true";
  EXPECT_EQ(get(search + "&available=true").json().at("result").as_array().size(), 2u);
  EXPECT_EQ(get(search + "&available=false").json().at("result_info").at("total_count"), static_cast<int64_t>(catalogue_.all().size() - 2));
  EXPECT_EQ(get(search + "&available=maybe").status, 400);
  const json::value found = get(search + "&search=llama-3.2-3b").json();
  EXPECT_EQ(found.at("result").at(0).at("properties").as_array().back(), json::parse(R"({"property_id":"verge_available","value":"false"})"));
}

TEST_F(OpenAiTest, ListsModels) {
  json::value body = get("/client/v4/accounts/a/ai/v1/models").json();
  EXPECT_EQ(body.at("object"), "list");
  EXPECT_EQ(body.at("data").as_array().size(), catalogue_.all().size());
  json::value model = get("/v1/models/@cf/meta/llama-3.2-1b-instruct").json();
  EXPECT_EQ(model.at("owned_by"), "meta");
  EXPECT_EQ(model.at("created"), 1727300192);
  EXPECT_EQ(get("/v1/models/@verge/stories-260k").json().at("owned_by"), "verge");
  EXPECT_EQ(get("/v1/models/nothing").status, 404);
  EXPECT_EQ(get("/v1/models/nothing").json().at("error").at("code"), "model_not_found");
}

}  // namespace
}  // namespace verge::api::testing
