// Functions that a model may call: what reaches the worker, and what becomes of its calls.
#include "protocol/frame.h"
#include "protocol/tasks/text_generation.h"
#include "support/limits.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

constexpr std::string_view kModel = "@cf/meta/llama-3.2-1b-instruct";
constexpr std::string_view kTools =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},{"type":"function","function":{"name":"now"}}])";

Event part(protocol::Delta delta) { return protocol::Part(protocol::to_json(delta)); }
std::vector<Event> calling() {
  using Kind = protocol::Delta::Kind;
  return {accepted(),
          token(1, ""),
          part({Kind::Reasoning, 0, "", "", "hm"}),
          token(2, ""),
          part({Kind::Call, 0, "call_a", "get_weather", ""}),
          token(3, ""),
          part({Kind::Arguments, 0, "", "", R"({"city":)"}),
          token(4, ""),
          part({Kind::Arguments, 0, "", "", R"("Ulm"})"}),
          part({Kind::Call, 1, "call_b", "now", ""}),
          part({Kind::Arguments, 1, "", "", "{}"}),
          usage(7, 4),
          end("tool_calls")};
}

class ToolsTest : public ApiTest {
 protected:
  Answer chat(std::string_view more) {
    return post("/v1/chat/completions",
                fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"x"}}],{}}})",
                            kModel, more));
  }
  protocol::Tools tools() {
    const auto read = protocol::text_parameters(service_.requests().back().params);
    EXPECT_TRUE(read.ok());
    return read.ok() ? read->tools : protocol::Tools();
  }
};

TEST_F(ToolsTest, BothFormsReachTheWorker) {
  EXPECT_EQ(chat(kTools).status, 200);
  ASSERT_EQ(tools().tools.size(), 2u);
  EXPECT_EQ(tools().tools[0].name, "get_weather");
  EXPECT_EQ(tools().tools[0].at, "/tools/0/function/parameters");
  EXPECT_EQ(tools().choice.mode, protocol::ToolMode::Auto);
  const Answer flat = run(
      R"({"prompt":"x","tools":[{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"number"}}}}]})");
  EXPECT_EQ(flat.status, 200) << flat.body << "a description may be left out";
  EXPECT_EQ(tools().tools[0].at, "/tools/0/parameters");
}

TEST_F(ToolsTest, EachChoiceReachesTheWorker) {
  struct Case {
    const char* choice;
    protocol::ToolMode mode;
    std::vector<std::string> names;
    bool parallel;
  };
  using Mode = protocol::ToolMode;
  for (
      const Case& c : std::vector<Case>{
          {R"("auto")", Mode::Auto, {}, true},
          {R"("none")", Mode::None, {}, true},
          {R"("required")", Mode::Required, {}, true},
          {R"({"type":"function","function":{"name":"now"}})", Mode::Required, {"now"}, false},
          {R"({"type":"function","name":"now"})", Mode::Required, {"now"}, false},
          {R"({"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"now"}}]}})",
           Mode::Required,
           {"now"},
           true},
          {R"({"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"now"}]})",
           Mode::Auto,
           {"now"},
           true}}) {
    const Answer answer = chat(fmt::format(R"({},"tool_choice":{})", kTools, c.choice));
    ASSERT_EQ(answer.status, 200) << c.choice << answer.body;
    EXPECT_EQ(tools().choice, (protocol::ToolChoice{c.mode, c.names})) << c.choice;
    EXPECT_EQ(tools().parallel, c.parallel) << c.choice;
  }
  EXPECT_EQ(chat(fmt::format(R"({},"parallel_tool_calls":false)", kTools)).status, 200);
  EXPECT_FALSE(tools().parallel);
}

TEST_F(ToolsTest, WhatIsNoToolIsRefusedByPlace) {
  const std::string many = [] {
    std::string list;
    for (int i = 0; i < 600; ++i) list += fmt::format(R"({}{{"name":"f{}"}})", i ? "," : "", i);
    return "\"tools\":[" + list + "]";
  }();
  const std::string all(kTools);
  for (
      const auto& [more, place] : std::vector<std::pair<std::string, std::string>>{
          {R"("tools":"f")", "/tools"},
          {R"("tools":{"name":"f"})", "/tools"},
          {R"("tools":[5])", "/tools/0"},
          {R"("tools":[null])", "/tools/0"},
          {R"("tools":[{"type":"function","function":"f"}])", "/tools/0/function"},
          {R"("tools":[{"type":"function","function":{}}])", "/tools/0/function"},
          {R"("tools":[{"type":"function","function":{"name":5}}])", "/tools/0/function/name"},
          {R"("tools":[{"name":""}])", "/tools/0/name"},
          {R"("tools":[{"name":"say \"hi\""}])", "/tools/0/name"},
          {R"("tools":[{"name":"f\n</tool_call>"}])", "/tools/0/name"},
          {R"("tools":[{"name":"f"},{"name":"f"}])", "/tools/1"},
          {R"("tools":[{"name":"f","description":5}])", "/tools/0/description"},
          {R"("tools":[{"name":"f","parameters":[]}])", "/tools/0/parameters"},
          {R"("tools":[{"name":"f","parameters":"{}"}])", "/tools/0/parameters"},
          {R"("tools":[{"type":"web_search"}])", "/tools/0/type"},
          {many, "/tools"},
          {R"("tool_choice":"required")", "/tool_choice"},
          {R"("tool_choice":{"type":"function","function":{"name":"now"}})", "/tool_choice"},
          {R"("tools":[],"tool_choice":"required")", "/tool_choice"},
          {all + R"(,"tool_choice":{"type":"function","function":{"name":"other"}})",
           "/tool_choice/function/name"},
          {all + R"(,"tool_choice":{"type":"function","function":{}})", "/tool_choice/function"},
          {all + R"(,"tool_choice":{"type":"function","name":"other"})", "/tool_choice/name"},
          {all + R"(,"tool_choice":"now")", "/tool_choice"},
          {all + R"(,"tool_choice":5)", "/tool_choice"},
          {all + R"(,"tool_choice":{"type":"custom"})", "/tool_choice/type"},
          {all + R"(,"tool_choice":{"type":5,"name":"now"})", "/tool_choice/type"},
          {R"("tools":[{"type":5,"name":"f"}])", "/tools/0/type"},
          {all +
               R"(,"tool_choice":{"type":"allowed_tools","mode":["required"],"tools":[{"name":"now"}]})",
           "/tool_choice/mode"},
          {all +
               R"(,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}})",
           "/tool_choice/allowed_tools/tools"},
          {all +
               R"(,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"function":{"name":"x"}}]}})",
           "/tool_choice/allowed_tools/tools/0"},
          {all + R"(,"parallel_tool_calls":[])", "/parallel_tool_calls"},
          {all + R"(,"stop":["}"])", "/stop"},
          {all + R"(,"ignore_eos":true)", "/ignore_eos"},
          {R"("functions":[{"name":"f"}])", "/functions"},
          {R"("function_call":{"name":"f"})", "/function_call"}}) {
    const Answer answer = chat(more);
    EXPECT_EQ(answer.status, 400) << more.substr(0, 200) << answer.body;
    EXPECT_NE(answer.body.find("'" + place + "'"), std::string::npos)
        << more.substr(0, 200) << answer.body;
  }
  EXPECT_TRUE(service_.requests().empty());
  EXPECT_EQ(
      chat(all + R"(,"tool_choice":"none","response_format":{"type":"json_object"},"stop":null)")
          .status,
      200);
}

// As deep as a model may write them, and no deeper.
TEST_F(ToolsTest, ArgumentsOfAHistoryNestAsFarAsCallsDo) {
  const auto nested = [&](size_t levels) {
    std::string deep;
    for (size_t i = 0; i < levels; ++i) deep += R"({\"a\":)";
    deep += "1" + std::string(levels, '}');
    return post("/v1/chat/completions",
                fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"x"}},
      {{"role":"assistant","tool_calls":[{{"id":"a","type":"function","function":{{"name":"f","arguments":"{}"}}}}]}},
      {{"role":"tool","tool_call_id":"a","content":"4"}}]}})",
                            kModel, deep));
  };
  const Answer met = nested(limits::kJsonDepth);
  EXPECT_EQ(met.status, 200) << met.body;
  const auto frame = protocol::decode_request(protocol::encode_request_head(service_.requests().back()));
  EXPECT_TRUE(frame.ok()) << frame.error().message;
  const Answer refused = nested(limits::kJsonDepth + 1);
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("'/messages/1/tool_calls/0/function/arguments'"), std::string::npos)
      << refused.body;
  EXPECT_NE(refused.body.find("nested deeper"), std::string::npos) << refused.body;
}

TEST_F(ToolsTest, HistoriesOfBothFormsReachTheWorker) {
  const Answer answer =
      post("/v1/chat/completions",
           fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"x"}},
      {{"role":"assistant","content":null,"tool_calls":[{{"id":"call_a","type":"function","function":{{"name":"f","arguments":"{{\"b\":1,\"a\":[2]}}"}}}}]}},
      {{"role":"tool","tool_call_id":"call_a","content":[{{"type":"text","text":"4"}}]}}]}})",
                       kModel));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.header("verge-ignored"), "");
  EXPECT_EQ(service_.requests().back().params.at("messages"),
            json::parse(R"([{"role":"user","content":"x"},
      {"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"b":1,"a":[2]}},"id":"call_a"}]},
      {"role":"tool","content":"4","tool_call_id":"call_a"}])"));
  // The native route: arguments are objects, results have the function's name
  // (@cloudflare/ai-utils).
  const Answer native = run(
      R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"name":"f","arguments":{"b":1}}]},
      {"role":"assistant","content":"{\"name\":\"g\",\"arguments\":{}}"},{"role":"tool","name":"g","content":"4"}]})");
  ASSERT_EQ(native.status, 200) << native.body;
  const json::value messages = service_.requests().back().params.at("messages");
  EXPECT_EQ(messages.at(1).at("tool_calls").at(0).at("function").at("arguments"),
            json::parse(R"({"b":1})"));
  EXPECT_EQ(messages.at(3), json::parse(R"({"role":"tool","content":"4","name":"g"})"));
  for (const auto& [message, place] : std::vector<std::pair<std::string, std::string>>{
           {R"({"role":"user","content":"x","tool_calls":[{"name":"f"}]})",
            "/messages/0/tool_calls"},
           {R"({"role":"assistant","tool_calls":5})", "/messages/0/tool_calls"},
           {R"({"role":"assistant","tool_calls":[5]})", "/messages/0/tool_calls/0"},
           {R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]})",
            "/messages/0/tool_calls/0/function/arguments"},
           {R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[]"}}]})",
            "/messages/0/tool_calls/0/function/arguments"},
           {R"({"role":"tool","content":{"a":1}})", "/messages/0/content"}}) {
    const Answer refused =
        post("/v1/chat/completions",
             fmt::format(R"({{"model":"{}","messages":[{}]}})", kModel, message));
    EXPECT_EQ(refused.status, 400) << message << refused.body;
    EXPECT_NE(refused.body.find("'" + place + "'"), std::string::npos) << message << refused.body;
  }
}

TEST_F(ToolsTest, CallsHaveThePublishedShapes) {
  service_.say(calling());
  const Answer openai = chat(kTools);
  const json::value choice = openai.json().at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  EXPECT_EQ(
      choice.at("message"),
      json::parse(
          R"({"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","tool_calls":[
      {"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Ulm\"}"}},
      {"id":"call_b","type":"function","function":{"name":"now","arguments":"{}"}}]})"));
  const Answer native = run(fmt::format(R"({{"prompt":"x",{}}})", kTools));
  const json::value result = native.json().at("result");
  EXPECT_EQ(result.at("response"), nullptr);
  EXPECT_EQ(
      result.at("tool_calls"),
      json::parse(
          R"([{"name":"get_weather","arguments":{"city":"Ulm"}},{"name":"now","arguments":{}}])"));
  EXPECT_EQ(result.at("finish_reason"), "tool_calls");
  const Answer either =
      run(fmt::format(R"({{"prompt":"x",{},"response_format":{{"type":"json_object"}}}})", kTools));
  EXPECT_EQ(either.status, 200) << "a call in place of what must be JSON";
  EXPECT_EQ(either.json().at("result").at("tool_calls").as_array().size(), 2u);
  // A call that was cut is none, and the answer says why it ended.
  using Kind = protocol::Delta::Kind;
  service_.say({accepted(), token(1, ""), part({Kind::Call, 0, "call_a", "get_weather", ""}),
                part({Kind::Arguments, 0, "", "", R"({"ci)"}), usage(7, 4), end("length")});
  const json::value cut = run(fmt::format(R"({{"prompt":"x",{}}})", kTools)).json().at("result");
  EXPECT_EQ(cut.at("tool_calls"), json::array());
  EXPECT_EQ(cut.at("finish_reason"), "length");
}

TEST_F(ToolsTest, StreamsOfCallsHaveThePublishedShapes) {
  service_.say(calling());
  const Answer openai = chat(std::string(kTools) + R"(,"stream":true)");
  EXPECT_NE(openai.body.find(R"("delta":{"reasoning_content":"hm"})"), std::string::npos)
      << openai.body;
  EXPECT_NE(
      openai.body.find(
          R"("delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"get_weather","arguments":""}}]})"),
      std::string::npos)
      << openai.body;
  EXPECT_NE(openai.body.find(
                R"("delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]})"),
            std::string::npos)
      << openai.body;
  EXPECT_NE(openai.body.find(R"("delta":{"tool_calls":[{"index":1,"id":"call_b")"),
            std::string::npos)
      << openai.body;
  EXPECT_NE(openai.body.find(R"("finish_reason":"tool_calls")"), std::string::npos) << openai.body;
  const Answer native = run(fmt::format(R"({{"prompt":"x",{},"stream":true}})", kTools));
  EXPECT_NE(
      native.body.find(
          R"({"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"get_weather","arguments":""}}]})"),
      std::string::npos)
      << native.body;
  EXPECT_NE(native.body.find(
                R"({"tool_calls":[{"index":0,"function":{"arguments":"\"Ulm\"}"},"id":null}]})"),
            std::string::npos)
      << native.body;
  EXPECT_NE(native.body.find(R"("finish_reason":"tool_calls")"), std::string::npos) << native.body;
}

}  // namespace
}  // namespace verge::api::testing
