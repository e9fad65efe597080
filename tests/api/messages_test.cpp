// Anthropic's Messages API over a real server; below it a scripted model.
#include "protocol/tasks/text_generation.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

protocol::Event part(protocol::Delta delta) { return protocol::Part(protocol::to_json(delta)); }
using Kind = protocol::Delta::Kind;

class MessagesTest : public ApiTest {
 protected:
  Answer create(json::object body = {}) {
    body.emplace("model", kModel);
    body.emplace("max_tokens", 20);
    body.emplace("messages", json::parse(R"([{"role":"user","content":"hi"}])"));
    return post("/v1/messages", json::serialize(body), {{"anthropic-version", "2023-06-01"}});
  }
  json::object params() { return service_.requests().back().params; }
  std::string error(const Answer& answer) {
    const json::value body = answer.json();
    EXPECT_EQ(body.at("type"), "error");
    EXPECT_EQ(body.at("request_id"), json::string(answer.header("cf-ai-req-id")));
    return std::string(body.at("error").at("message").as_string());
  }
  std::vector<json::object> stream(const Answer& answer) {
    std::vector<json::object> out;
    for (size_t at = 0; at < answer.body.size();) {
      const size_t stop = answer.body.find("\n\n", at), line = answer.body.find('\n', at);
      EXPECT_EQ(answer.body.substr(line + 1, 6), "data: ");
      out.push_back(json::parse(answer.body.substr(line + 7, stop - line - 7)).as_object());
      EXPECT_EQ(answer.body.substr(at, line - at),
                "event: " + std::string(out.back().at("type").as_string()));
      at = stop + 2;
    }
    return out;
  }
};

TEST_F(MessagesTest, AnAnswerHasThePublishedShape) {
  service_.say({accepted(7, 4), token(1, "Hello"), usage(7, 3), end()});
  json::object body = create({{"system", "Be brief."}}).json().as_object();
  EXPECT_TRUE(body.at("id").as_string().starts_with("msg_"));
  body.erase("id");
  EXPECT_EQ(
      body,
      json::parse(
          R"({"type":"message","role":"assistant","model":"@cf/meta/llama-3.2-1b-instruct","content":[{"type":"text","text":"Hello"}],)"
          R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"cache_creation_input_tokens":0,)"
          R"("cache_read_input_tokens":0,"output_tokens":3}})"));
  EXPECT_EQ(
      params().at("messages"),
      json::parse(R"([{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}])"));
  EXPECT_EQ(params().at("max_tokens"), 20);
}

TEST_F(MessagesTest, AStreamHasEveryEventInOrder) {
  service_.say({accepted(7, 4), token(1, "Hel"), token(2, "lo"), usage(7, 2), end("length")});
  std::string types;
  const auto events = stream(create({{"stream", true}}));
  for (const json::object& event : events) types += std::string(event.at("type").as_string()) + " ";
  EXPECT_EQ(types,
            "message_start ping content_block_start content_block_delta content_block_delta "
            "content_block_stop message_delta message_stop ");
  EXPECT_EQ(events[0].at("message").at("usage").at("input_tokens"), 3);
  EXPECT_EQ(events[0].at("message").at("usage").at("cache_read_input_tokens"), 4);
  EXPECT_EQ(events[3].at("delta"), json::parse(R"({"type":"text_delta","text":"Hel"})"));
  EXPECT_EQ(events[6].at("delta").at("stop_reason"), "max_tokens");
  EXPECT_EQ(events[6].at("usage").at("output_tokens"), 2);
}

TEST_F(MessagesTest, CallsAndThoughtsAreBlocks) {
  service_.say({accepted(), part({Kind::Reasoning, 0, "", "", "Hm."}), token(1, "I ask."),
                part({Kind::Call, 0, "call_1", "weather", ""}),
                part({Kind::Arguments, 0, "", "", R"({"city":)"}),
                part({Kind::Arguments, 0, "", "", R"("Rome"})"}), usage(7, 9), end("tool_calls")});
  const json::object tools{
      {"tools",
       json::parse(R"([{"name":"weather","description":"x","input_schema":{"type":"object"}}])")}};
  const json::value body = create(tools).json();
  EXPECT_EQ(
      body.at("content"),
      json::parse(
          R"([{"type":"thinking","thinking":"Hm.","signature":""},{"type":"text","text":"I ask."},)"
          R"({"type":"tool_use","id":"call_1","name":"weather","input":{"city":"Rome"}}])"));
  EXPECT_EQ(body.at("stop_reason"), "tool_use");
  EXPECT_EQ(params().at("tools").at(0).at("at"), "/tools/0/input_schema");
  json::object streamed = tools;
  streamed["stream"] = true;
  std::string types;
  const auto events = stream(create(streamed));
  for (const json::object& event : events) {
    types += std::string(event.at("type").as_string());
    if (const json::value* delta = event.if_contains("delta");
        delta && delta->as_object().contains("type"))
      types += ":" + std::string(delta->at("type").as_string());
    if (const json::value* index = event.if_contains("index"))
      types += std::to_string(index->as_int64());
    types += ' ';
  }
  EXPECT_EQ(
      types,
      "message_start ping content_block_start0 content_block_delta:thinking_delta0 "
      "content_block_delta:signature_delta0 content_block_stop0 "
      "content_block_start1 content_block_delta:text_delta1 content_block_stop1 "
      "content_block_start2 content_block_delta:input_json_delta2 "
      "content_block_delta:input_json_delta2 content_block_stop2 message_delta message_stop ");
}

TEST_F(MessagesTest, BlocksAreMessages) {
  create(
      {{"system",
        json::parse(
            R"([{"type":"text","text":"x-anthropic-billing-header: cch=1;"},{"type":"text","text":"A","cache_control":{"type":"ephemeral"}},{"type":"text","text":"B"}])")},
       {"messages", json::parse(R"([
    {"role":"user","content":[{"type":"text","text":"one"}]},
    {"role":"user","content":"two"},
    {"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"x"},{"type":"text","text":"I ask."},
      {"type":"tool_use","id":"t1","name":"f","input":{"a":1}},{"type":"tool_use","id":"t2","name":"f","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"sun"},
      {"type":"tool_result","tool_use_id":"t2","content":[{"type":"text","text":"rain"}]},{"type":"text","text":"and?"}]}])")}});
  const json::array messages = params().at("messages").as_array();
  ASSERT_EQ(messages.size(), 6u);
  EXPECT_EQ(messages[0].at("content"), "A\nB");
  EXPECT_EQ(messages[1].at("content"), "one\ntwo");
  EXPECT_EQ(messages[2].at("tool_calls").as_array().size(), 2u);
  EXPECT_EQ(messages[2].at("reasoning_content"), "Hm.");
  EXPECT_EQ(messages[3].at("tool_call_id"), "t1");
  EXPECT_EQ(messages[4].at("content"), "rain");
  EXPECT_EQ(messages[5], json::parse(R"({"role":"user","content":"and?"})"));
}

TEST_F(MessagesTest, ErrorsHaveItsShapeAndNameWhatTheClientWrote) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"max_tokens":0})", "'/max_tokens'"},
      {R"({"max_tokens":null})", "max_tokens"},
      {R"({"messages":[]})", "'/messages'"},
      {R"({"messages":[{"role":"user"}]})", "'/messages/0'"},
      {R"({"messages":[{"role":"user","content":[]}]})", "'/messages/0/content'"},
      {R"({"messages":[{"role":"tool","content":"x"}]})", "'/messages/0/role'"},
      {R"({"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]})",
       "'/messages/0/content/0'"},
      {R"({"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"x"}]}]})",
       "'/messages/0/content/0/tool_use_id'"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]})",
       "'/messages/1'"},
      {R"({"system":7})", "'/system'"},
      {R"({"stop_sequences":"x"})", "'/stop_sequences'"},
      {R"({"stop_sequences":[5]})", "'/stop_sequences/0'"},
      {R"({"tools":[{"type":"bash_20250124","name":"bash"}]})", "'/tools/0/type'"},
      {R"({"tools":[{"name":"f"}]})", "input_schema"},
      {R"({"tools":[{"name":"f","input_schema":7}]})", "'/tools/0/input_schema'"},
      {R"({"tool_choice":{"type":"required"}})", "'/tool_choice/type'"},
      {R"({"thinking":{"type":"often"}})", "'/thinking/type'"},
      {R"({"output_config":{"format":{"type":"xml"}}})", "'/output_config/format'"},
      {R"({"container":"c"})", "'/container'"},
  };
  for (const auto& [body, name] : cases) {
    const Answer answer = create(json::parse(body).as_object());
    EXPECT_EQ(answer.status, 400) << body << answer.body;
    EXPECT_NE(error(answer).find(name), std::string::npos) << body << answer.body;
    EXPECT_EQ(answer.json().at("error").at("type"), "invalid_request_error");
  }
  service_.say({protocol::Failure(fail_at(Code::UnsupportedParameter, "/reasoning_effort", "'/reasoning_effort' is not supported"))});
  EXPECT_NE(error(create({{"thinking", json::parse(R"({"type":"enabled","budget_tokens":1024})")}}))
                .find("'/thinking'"),
            std::string::npos);
  EXPECT_NE(error(create({{"output_config", json::parse(R"({"effort":"low"})")}}))
                .find("'/output_config/effort'"),
            std::string::npos);
  const Answer unknown = create({{"model", "nope"}});
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.json().at("error").at("type"), "not_found_error");
  service_.say({failure(Code::Busy, "full")});
  EXPECT_EQ(create().json().at("error").at("type"), "rate_limit_error");
  service_.say({accepted(), token(1, "Hel"), failure(Code::WorkerGone, "gone")});
  const auto events = stream(create({{"stream", true}}));
  EXPECT_EQ(events.back().at("error").at("type"), "overloaded_error");
  EXPECT_EQ(get("/v1/messages").json().at("type"), "error");
}

TEST_F(MessagesTest, ThoughtsStayWithTheirTurn) {
  const Answer answer = create({{"messages", json::parse(R"([
    {"role":"user","content":"hi"},
    {"role":"assistant","content":[
      {"type":"thinking","thinking":"One.","signature":""},
      {"type":"text","text":"I ask."},
      {"type":"thinking","thinking":"Two.","signature":""},
      {"type":"tool_use","id":"c","name":"f","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"sun"}]}])")}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::array chat = params().at("messages").as_array();
  ASSERT_EQ(chat.size(), 3u);
  EXPECT_EQ(chat[1].at("reasoning_content"), "One.\nTwo.");
  EXPECT_EQ(chat[1].at("tool_calls").as_array().size(), 1u);
  EXPECT_EQ(chat[2].at("role"), "tool");
}

// What goes on from messages that the server keeps must not be answered without them.
TEST_F(MessagesTest, AThreadIsRefusedSoThatClientsGoOnWithoutOne) {
  for (const char* thread :
       {R"({"type":"create"})", R"({"type":"continue","previous_message_id":"msg_1"})"}) {
    const Answer answer = create({{"thread", json::parse(thread)}});
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.json().at("error").at("type"), "invalid_request_error");
    EXPECT_EQ(
        answer.json().at("error").at("details"),
        json::parse(R"({"error_code":"thread_unsupported_request","unsupported":["thread"]})"));
  }
  EXPECT_EQ(create({{"thread", nullptr}}).status, 200);
  const Answer other = create({{"compaction", json::object{{"type", "x"}}}});
  EXPECT_EQ(other.status, 400);
  EXPECT_FALSE(other.json().at("error").as_object().contains("details"));
}

TEST_F(MessagesTest, AWholeAnswerHasTheOrderOfItsStream) {
  service_.say({accepted(), part({Kind::Call, 0, "call_1", "weather", ""}),
                part({Kind::Arguments, 0, "", "", "{}"}), token(1, "Then"), token(2, " this."),
                part({Kind::Call, 1, "call_2", "weather", ""}),
                part({Kind::Arguments, 1, "", "", R"({"a":1})"}), usage(7, 9), end("tool_calls")});
  const json::value body =
      create({{"tools", json::parse(R"([{"name":"weather","input_schema":{"type":"object"}}])")}})
          .json();
  EXPECT_EQ(body.at("content"),
            json::parse(R"([{"type":"tool_use","id":"call_1","name":"weather","input":{}},)"
                        R"({"type":"text","text":"Then this."},)"
                        R"({"type":"tool_use","id":"call_2","name":"weather","input":{"a":1}}])"));
}

TEST_F(MessagesTest, WhatIsOfAnotherTypeIsNamed) {
  const auto tool = [](json::object more) {
    more["name"] = "f";
    more["input_schema"] = json::object();
    return json::object{{"tools", json::array{std::move(more)}}};
  };
  const std::pair<const char*, json::object> wrong[] = {
      {"/metadata", {{"metadata", 5}}},
      {"/cache_control", {{"cache_control", "ephemeral"}}},
      {"/service_tier", {{"service_tier", 1}}},
      {"/tools/0/strict", tool({{"strict", "x"}})},
      {"/tools/0/type", tool({{"type", 4}})},
      {"/tools/0/cache_control", tool({{"cache_control", 4}})},
      {"/thinking/budget_tokens",
       {{"thinking", json::object{{"type", "enabled"}, {"budget_tokens", "x"}}}}},
  };
  for (const auto& [place, members] : wrong) {
    const Answer answer = create(members);
    EXPECT_EQ(answer.status, 400) << place;
    EXPECT_NE(error(answer).find(fmt::format("'{}'", place)), std::string::npos) << answer.body;
  }
  json::object choice = tool({});
  choice["tool_choice"] = json::object{{"type", "auto"}, {"disable_parallel_tool_use", "yes"}};
  EXPECT_NE(error(create(choice)).find("'/tool_choice/disable_parallel_tool_use'"),
            std::string::npos);
}

TEST_F(MessagesTest, APathThatIsNotThereIsNotFound) {
  for (const char* path : {"/v1/messages/nothing", "/v1/messages/count_tokens/x",
                           "/client/v4/accounts/acc/ai/v1/messages/batches"}) {
    const Answer answer = post(path, "{}");
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.json().at("error").at("type"), "not_found_error");
  }
}

TEST_F(MessagesTest, TokensAreCounted) {
  service_.say({accepted(0), Event(protocol::Result(json::object{{"input_tokens", 7}})), usage(0, 0), end()});
  const Answer answer = post(
      "/v1/messages/count_tokens",
      fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"hi"}}]}})", kModel));
  EXPECT_EQ(answer.json(), json::parse(R"({"input_tokens":7})"));
  EXPECT_EQ(params().at("count_tokens"), true);
}

}  // namespace
}  // namespace verge::api::testing
