// The Responses API over a real server; below it a scripted model.
#include <cstdlib>
#include <filesystem>
#include <set>

#include "accounts/response_store.h"
#include "protocol/tasks/text_generation.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

class ResponsesTest : public ApiTest {
 protected:
  ResponsesTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "verge-responses-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    auto store = accounts::ResponseStore::open(folder_, {});
    EXPECT_TRUE(store);
    store_ = std::move(*store);
    Options options;
    options.responses = store_.get();
    start(std::move(options));
  }
  ~ResponsesTest() override {
    stop();
    std::filesystem::remove_all(folder_);
  }

  static std::string path(std::string_view rest = "", std::string_view account = "acc") {
    return fmt::format("/client/v4/accounts/{}/ai/v1/responses{}", account, rest);
  }
  Answer create(json::object body, std::string_view account = "acc") {
    body.emplace("model", kModel);
    body.emplace("input", "hi");
    return post(path("", account), json::serialize(body));
  }
  std::string id_of(const Answer& answer) {
    return std::string(answer.json().at("id").as_string());
  }
  json::array messages() { return service_.requests().back().params.at("messages").as_array(); }
  // The name that the error gives.
  std::string param(const Answer& answer) {
    const json::value name = answer.json().at("error").at("param");
    return name.is_string() ? std::string(name.as_string()) : "";
  }
  // type -> of each event of a stream; the rest is checked.
  std::vector<json::object> stream(const Answer& answer) {
    std::vector<json::object> out;
    for (size_t at = 0; at < answer.body.size();) {
      const size_t stop = answer.body.find("\n\n", at), line = answer.body.find('\n', at);
      EXPECT_EQ(answer.body.substr(at, 7), "event: ");
      EXPECT_EQ(answer.body.substr(line + 1, 6), "data: ");
      out.push_back(json::parse(answer.body.substr(line + 7, stop - line - 7)).as_object());
      EXPECT_EQ(answer.body.substr(at + 7, line - at - 7),
                std::string_view(out.back().at("type").as_string()));
      EXPECT_EQ(out.back().at("sequence_number").to_number<size_t>(), out.size() - 1);
      at = stop + 2;
    }
    return out;
  }

  std::string folder_;
  std::unique_ptr<accounts::ResponseStore> store_;
};

TEST_F(ResponsesTest, AnAnswerHasEveryPublishedField) {
  const Answer answer = create({{"instructions", "Be brief."},
                                {"metadata", json::object{{"a", "b"}}},
                                {"max_output_tokens", 9}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  json::object body = answer.json().as_object();
  EXPECT_EQ(body.at("object"), "response");
  EXPECT_TRUE(id_of(answer).starts_with("resp_"));
  EXPECT_EQ(body.at("status"), "completed");
  EXPECT_EQ(body.at("instructions"), "Be brief.");
  EXPECT_EQ(body.at("metadata"), json::parse(R"({"a":"b"})"));
  EXPECT_EQ(body.at("max_output_tokens"), 9);
  EXPECT_EQ(body.at("usage"),
            json::parse(
                R"({"input_tokens":7,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,)"
                R"("output_tokens_details":{"reasoning_tokens":0},"total_tokens":10})"));
  for (const char* name : {"created_at", "completed_at", "error", "incomplete_details", "model",
                           "parallel_tool_calls", "temperature", "top_p", "tool_choice", "tools",
                           "text", "store", "truncation", "previous_response_id", "reasoning",
                           "background", "service_tier", "top_logprobs", "max_tool_calls"})
    EXPECT_TRUE(body.contains(name)) << name;
  json::object item = body.at("output").at(0).as_object();
  EXPECT_TRUE(item.at("id").as_string().starts_with("msg_"));
  EXPECT_EQ(item.at("status"), "completed");
  EXPECT_EQ(item.at("content"),
            json::parse(
                R"([{"type":"output_text","text":"Hello wörld","annotations":[],"logprobs":[]}])"));
  EXPECT_EQ(
      messages(),
      json::parse(R"([{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}])"));
  EXPECT_EQ(service_.requests().back().params.at("max_tokens"), 9);
}

TEST_F(ResponsesTest, MetadataIsCountedInCharacters) {
  const auto status = [&](size_t key, size_t value) {
    std::string keys, values;
    for (size_t i = 0; i < key; ++i) keys += "ö";
    for (size_t i = 0; i < value; ++i) values += "語";
    return create({{"metadata", json::object{{keys, values}}}}).status;
  };
  EXPECT_EQ(status(64, 512), 200);
  EXPECT_EQ(status(65, 512), 400);
  EXPECT_EQ(status(64, 513), 400);
}

TEST_F(ResponsesTest, AStreamHasEveryEventInOrder) {
  const Answer answer = create({{"stream", true}});
  EXPECT_EQ(answer.header("content-type"), "text/event-stream");
  EXPECT_TRUE(answer.complete);
  std::string types;
  const auto events = stream(answer);
  for (const json::object& event : events)
    types += std::string(event.at("type").as_string()).substr(9) + " ";
  EXPECT_EQ(types,
            "created in_progress output_item.added content_part.added output_text.delta "
            "output_text.delta output_text.done content_part.done "
            "output_item.done completed ");
  EXPECT_EQ(events[0].at("response").at("status"), "in_progress");
  EXPECT_EQ(events[4].at("delta"), "Hello");
  EXPECT_EQ(events[6].at("text"), "Hello wörld");
  const json::value& last = events.back().at("response");
  EXPECT_EQ(last.at("output").at(0), events[8].at("item"));
  for (size_t i = 3; i < 8; ++i)
    EXPECT_EQ(events[i].at("item_id"), last.at("output").at(0).at("id")) << i;
  EXPECT_EQ(get(path("/" + std::string(last.at("id").as_string()))).json(), last);
}

TEST_F(ResponsesTest, TheTokenLimitLeavesItIncomplete) {
  service_.say({accepted(), token(1, "Hel"), usage(7, 1), end("length")});
  const json::value body = create({{"max_output_tokens", 1}}).json();
  EXPECT_EQ(body.at("status"), "incomplete");
  EXPECT_EQ(body.at("incomplete_details").at("reason"), "max_output_tokens");
  EXPECT_EQ(body.at("output").at(0).at("status"), "incomplete");
  EXPECT_EQ(stream(create({{"stream", true}})).back().at("type"), "response.incomplete");
}

TEST_F(ResponsesTest, AFailureInsideAStreamIsItsLastEvent) {
  service_.say({accepted(), token(1, "Hel"), failure(Code::WorkerGone, "gone")});
  const auto events = stream(create({{"stream", true}}));
  EXPECT_EQ(events.back().at("type"), "response.failed");
  EXPECT_EQ(events.back().at("response").at("status"), "failed");
  EXPECT_EQ(events.back().at("response").at("error").at("code"), "server_error");
  service_.say({failure(Code::Busy, "full")});
  EXPECT_EQ(create({{"stream", true}}).status, 429);
}

TEST_F(ResponsesTest, AnEmptyAnswerIsAnEmptyText) {
  service_.say({accepted(), usage(7, 0), end()});
  EXPECT_EQ(create({}).json().at("output").at(0).at("content").at(0).at("text"), "");
  EXPECT_EQ(stream(create({{"stream", true}})).size(), 8u);
}

TEST_F(ResponsesTest, OneGoesOnFromAnother) {
  const std::string first = id_of(create({{"instructions", "Old."}}));
  const Answer second = create({{"previous_response_id", first},
                                {"instructions", "New."},
                                {"input", "and?"},
                                {"stream", true}});
  EXPECT_EQ(
      messages(),
      json::parse(
          R"([{"role":"system","content":"New."},{"role":"user","content":"hi"},{"role":"assistant","content":"Hello wörld"},)"
          R"({"role":"user","content":"and?"}])"));
  const std::string id(stream(second).back().at("response").at("id").as_string());
  EXPECT_EQ(get(path("/" + id)).json().at("previous_response_id"), json::string(first));
  // Each stands for itself: those before it may go.
  EXPECT_EQ(ask("DELETE", path("/" + first)).json(),
            (json::value{{"id", first}, {"object", "response"}, {"deleted", true}}));
  EXPECT_EQ(get(path("/" + first)).status, 404);
  EXPECT_EQ(create({{"previous_response_id", id}}).status, 200);
  EXPECT_EQ(messages().size(), 5u);
  const Answer gone = create({{"previous_response_id", first}});
  EXPECT_EQ(gone.status, 400);
  EXPECT_EQ(gone.json().at("error").at("code"), "previous_response_not_found");
  EXPECT_EQ(param(gone), "previous_response_id");
  const Answer empty = create({{"previous_response_id", ""}});
  EXPECT_EQ(empty.status, 400);
  EXPECT_EQ(param(empty), "previous_response_id");
}

TEST_F(ResponsesTest, InputItemsAreListedInPages) {
  json::array input;
  for (int i = 0; i < 5; ++i)
    input.push_back(
        json::object{{"role", i % 2 ? "assistant" : "user"}, {"content", std::to_string(i)}});
  const std::string id = id_of(create({{"input", input}}));
  const auto list = [&](std::string_view query) {
    return get(path(fmt::format("/{}/input_items{}", id, query))).json();
  };
  const auto texts = [](const json::value& page) {
    std::string out;
    for (const json::value& item : page.at("data").as_array())
      out += item.at("content").at(0).at("text").as_string();
    return out;
  };
  EXPECT_EQ(texts(list("")), "43210");
  EXPECT_EQ(texts(list("?order=asc")), "01234");
  const json::value page = list("?order=asc&limit=2");
  EXPECT_EQ(texts(page), "01");
  EXPECT_EQ(page.at("has_more"), true);
  EXPECT_EQ(page.at("first_id"), page.at("data").at(0).at("id"));
  const json::value next =
      list(fmt::format("?order=asc&limit=3&after={}", std::string(page.at("last_id").as_string())));
  EXPECT_EQ(texts(next), "234");
  EXPECT_EQ(next.at("has_more"), false);
  EXPECT_EQ(page.at("data").at(0).at("type"), "message");
  EXPECT_EQ(page.at("data").at(0).at("content").at(0).at("type"), "input_text");
  EXPECT_EQ(page.at("data").at(1).at("content").at(0).at("type"), "output_text");
  for (const char* wrong : {"?limit=0", "?limit=101", "?order=up", "?after=msg_x", "?limit=many"})
    EXPECT_EQ(get(path(fmt::format("/{}/input_items{}", id, wrong))).status, 400) << wrong;
}

TEST_F(ResponsesTest, PagesEndThoughAnItemWasSentTwice) {
  const json::value twice = json::parse(
      R"([{"id":"a","role":"user","content":"0"},{"id":"a","role":"user","content":"1"},)"
      R"({"id":"b","role":"user","content":"2"}])");
  const Answer first = create({{"input", twice}});
  json::array again{first.json().at("output").at(0), {{"role", "user"}, {"content", "3"}}};
  const std::string id =
      id_of(create({{"previous_response_id", id_of(first)}, {"input", std::move(again)}}));
  for (const char* order : {"asc", "desc"}) {
    std::set<std::string> seen;
    json::value page{{"has_more", true}, {"last_id", ""}};
    for (int i = 0; i < 8 && page.at("has_more") == true; ++i) {
      const std::string after(page.at("last_id").as_string());
      page = get(path(fmt::format("/{}/input_items?limit=1&order={}&after={}", id, order, after)))
                 .json();
      seen.emplace(page.at("last_id").as_string());
    }
    EXPECT_EQ(page.at("has_more"), false) << order;
    EXPECT_EQ(seen.size(), 6u) << order;
    EXPECT_TRUE(seen.contains("a")) << order;
  }
}

TEST_F(ResponsesTest, AccountsDoNotReadEachOthers) {
  const Answer mine = create({});
  const std::string id = id_of(mine), item(mine.json().at("output").at(0).at("id").as_string());
  EXPECT_EQ(get(path("/" + id, "other")).status, 404);
  EXPECT_EQ(get(path("/" + id + "/input_items", "other")).status, 404);
  EXPECT_EQ(ask("DELETE", path("/" + id, "other")).status, 404);
  EXPECT_EQ(create({{"previous_response_id", id}}, "other").status, 400);
  const json::array reference{json::object{{"type", "item_reference"}, {"id", item}}};
  EXPECT_EQ(create({{"input", reference}}, "other").status, 404);
  EXPECT_EQ(create({{"input", reference}}).status, 200);
  EXPECT_EQ(messages(), json::parse(R"([{"role":"assistant","content":"Hello wörld"}])"));
  EXPECT_EQ(get(path("/" + id)).json(), mine.json());
}

TEST_F(ResponsesTest, WhatIsNotStoredIsNotThere) {
  const Answer answer = create({{"store", false}});
  EXPECT_EQ(answer.json().at("store"), false);
  EXPECT_EQ(get(path("/" + id_of(answer))).status, 404);
  EXPECT_EQ(post(path("/resp_x/cancel"), "").status, 404);
  EXPECT_EQ(post(path("/" + id_of(create({})) + "/cancel"), "").status, 400);
}

TEST_F(ResponsesTest, AFailedAnswerIsNotKept) {
  service_.say({accepted(), token(1, "Hel"), failure(Code::WorkerGone, "gone")});
  const auto events = stream(create({{"stream", true}}));
  EXPECT_EQ(get(path("/" + std::string(events.back().at("response").at("id").as_string()))).status,
            404);
}

TEST_F(ResponsesTest, ErrorsNameWhatTheClientWrote) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"input":[]})", ""},
      {R"({"input":5})", "input"},
      {R"({"input":[{"role":"user","content":"x"},7]})", "input.1"},
      {R"({"input":[{"role":"king","content":"x"}]})", "input.0.role"},
      {R"({"input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"x"}]}]})",
       "input.0.content.1"},
      {R"({"input":[{"role":"user","content":[{"type":"input_file","file_id":"x"}]}]})",
       "input.0.content.0"},
      {R"({"input":[{"type":"web_search_call","id":"x"}]})", "input.0.type"},
      {R"({"input":[{"type":"function_call_output","call_id":"c","output":"x"}]})",
       "input.0.call_id"},
      {R"({"input":[{"type":"function_call","call_id":"c","name":"f"}]})", "input.0"},
      {R"({"max_output_tokens":0})", "max_output_tokens"},
      {R"({"temperature":3})", "temperature"},
      {R"({"text":{"format":{"type":"xml"}}})", "text.format.type"},
      {R"({"text":{"format":{"type":"json_schema","name":"x"}}})", "text.format"},
      {R"({"text":{"format":{"type":"json_schema","name":"x","schema":7}}})", "text.format.schema"},
      {R"({"text":{"verbosity":"low"}})", "text.verbosity"},
      {R"({"tools":[{"type":"web_search"}]})", "tools.0.type"},
      {R"({"tools":[7]})", "tools.0"},
      {R"({"tool_choice":{"type":"file_search"}})", "tool_choice"},
      {R"({"reasoning":{"summary":"detailed"}})", "reasoning.summary"},
      {R"({"include":["everything"]})", "include.0"},
      {R"({"metadata":{"a":1}})", "metadata"},
      {R"({"background":true})", "background"},
      {R"({"conversation":"conv_1"})", "conversation"},
      {R"({"prompt":{"id":"p"}})", "prompt"},
      {R"({"truncation":"auto"})", "truncation"},
      {R"({"max_tokens":5})", "max_tokens"},
      {R"({"top_logprobs":21})", "top_logprobs"},
  };
  for (const auto& [body, name] : cases) {
    const Answer answer = create(json::parse(body).as_object());
    EXPECT_EQ(answer.status, 400) << body << answer.body;
    EXPECT_EQ(param(answer), name) << body << answer.body;
  }
}

TEST_F(ResponsesTest, WhatTheModelRefusesIsNamedToo) {
  service_.say({protocol::Failure(
      fail_at(Code::UnsupportedParameter, "/reasoning_effort",
              "'/reasoning_effort' is not supported: this model does not reason"))});
  EXPECT_EQ(param(create({{"reasoning", json::object{{"effort", "high"}}}})), "reasoning.effort");
}

TEST_F(ResponsesTest, JsonModeIsAskedForByTextFormat) {
  create(
      {{"text",
        json::parse(
            R"({"format":{"type":"json_schema","name":"x","strict":true,"schema":{"type":"integer"}}})")}});
  EXPECT_EQ(
      service_.requests().back().params.at("grammar"),
      json::parse(
          R"({"kind":"json_schema","source":"{\"type\":\"integer\"}","at":"/text/format/schema"})"));
  create({{"text", json::parse(R"({"format":{"type":"json_object"}})")}});
  EXPECT_EQ(service_.requests().back().params.at("grammar").at("at"), "/text/format");
  create({{"text", json::parse(R"({"format":{"type":"text"}})")}});
  EXPECT_FALSE(service_.requests().back().params.contains("grammar"));
}

TEST_F(ResponsesTest, ItemsAreMessages) {
  create({{"instructions", "A"}, {"input", json::parse(R"([
    {"role":"developer","content":"B"},
    {"type":"message","role":"user","content":[{"type":"input_text","text":"one"},{"type":"input_text","text":"two"}]},
    {"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"zzz"},
    {"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"yes","annotations":[]}]},
    {"role":"system","content":"C"},
    {"role":"user","content":"go on","nonsense":1}])")}});
  EXPECT_EQ(
      messages(),
      json::parse(
          R"([{"role":"system","content":"A\n\nB"},{"role":"user","content":"one\ntwo"},{"role":"assistant","content":"yes"},)"
          R"({"role":"system","content":"C"},{"role":"user","content":"go on"}])"));
  EXPECT_EQ(create({{"input", json::parse(R"([{"role":"user","content":"x","nonsense":1}])")}})
                .header("verge-ignored"),
            "input.nonsense");
}

TEST_F(ResponsesTest, CallsAndThoughtsAreItems) {
  using Kind = protocol::Delta::Kind;
  const auto part = [](protocol::Delta delta) -> Event {
    return protocol::Part(protocol::to_json(delta));
  };
  protocol::Token thinking;
  thinking.ids = {5, 6};
  service_.say({accepted(), thinking, part({Kind::Reasoning, 0, "", "", "Hm."}), token(1, "I ask."),
                part({Kind::Call, 0, "call_1", "weather", ""}),
                part({Kind::Arguments, 0, "", "", "{\"a\":"}),
                part({Kind::Arguments, 0, "", "", "1}"}),
                part({Kind::Call, 1, "call_2", "weather", ""}),
                part({Kind::Arguments, 1, "", "", "{}"}), usage(7, 9), end("tool_calls")});
  const json::object tools{
      {"tools",
       json::parse(
           R"([{"type":"function","name":"weather","parameters":{"type":"object"},"strict":true}])")},
      {"tool_choice", json::parse(R"({"type":"function","name":"weather"})")}};
  const json::value body = create(tools).json();
  ASSERT_EQ(body.at("output").as_array().size(), 4u);
  EXPECT_EQ(body.at("output").at(0).at("content"),
            json::parse(R"([{"type":"reasoning_text","text":"Hm."}])"));
  EXPECT_EQ(body.at("output").at(0).at("summary"), json::array());
  EXPECT_EQ(body.at("output").at(2).at("call_id"), "call_1");
  EXPECT_EQ(body.at("output").at(2).at("arguments"), "{\"a\":1}");
  EXPECT_EQ(body.at("output").at(3).at("type"), "function_call");
  EXPECT_EQ(body.at("tools").at(0).at("name"), "weather");
  EXPECT_EQ(body.at("usage").at("output_tokens_details").at("reasoning_tokens"), 2);
  EXPECT_EQ(service_.requests().back().params.at("tool_choice").at("names"),
            json::array{"weather"});
  EXPECT_EQ(service_.requests().back().params.at("tools").at(0).at("at"), "/tools/0/parameters");

  json::object streamed = tools;
  streamed["stream"] = true;
  std::string types;
  const auto events = stream(create(streamed));
  for (const json::object& event : events)
    types += std::string(event.at("type").as_string()).substr(9) + " ";
  EXPECT_EQ(types,
            "created in_progress output_item.added content_part.added reasoning_text.delta "
            "reasoning_text.done content_part.done output_item.done "
            "output_item.added content_part.added output_text.delta output_text.done "
            "content_part.done output_item.done "
            "output_item.added function_call_arguments.delta function_call_arguments.delta "
            "function_call_arguments.done output_item.done "
            "output_item.added function_call_arguments.delta function_call_arguments.done "
            "output_item.done completed ");
  // The results go back with the calls that are kept.
  const std::string id(events.back().at("response").at("id").as_string());
  service_.say(ScriptedService::plain());
  EXPECT_EQ(
      create(
          {{"previous_response_id", id},
           {"input",
            json::parse(R"([{"type":"function_call_output","call_id":"call_2","output":"sun"}])")}})
          .status,
      200);
  const json::array chat = messages();
  ASSERT_EQ(chat.size(), 3u);
  EXPECT_EQ(chat[1].at("content"), "I ask.");
  EXPECT_EQ(chat[1].at("reasoning_content"), "Hm.");
  EXPECT_EQ(chat[1].at("tool_calls").at(0).at("function").at("arguments"),
            json::parse(R"({"a":1})"));
  EXPECT_EQ(chat[1].at("tool_calls").as_array().size(), 2u);
  EXPECT_EQ(chat[2].at("tool_call_id"), "call_2");
  EXPECT_EQ(chat[2].at("content"), "sun");
  EXPECT_EQ(
      param(create(
          {{"input",
            json::parse(
                R"([{"role":"user","content":"x"},{"type":"function_call","call_id":"c","name":"f","arguments":"{"}])")}})),
      "input.1.arguments");
}

TEST_F(ResponsesTest, ACallThatWasCutIsGoneOnFromWithoutIt) {
  const auto input = [](std::string_view status, std::string_view arguments) {
    json::array out = json::parse(R"([{"role":"user","content":"hi"},)"
                                  R"({"type":"function_call","call_id":"c","name":"f"},)"
                                  R"({"role":"user","content":"and?"}])")
                          .as_array();
    out[1].as_object()["status"] = status;
    out[1].as_object()["arguments"] = arguments;
    return out;
  };
  const Answer first = create({{"input", input("incomplete", "{\"a\": \"b")}});
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(messages(), json::parse(R"([{"role":"user","content":"hi"},)"
                                    R"({"role":"user","content":"and?"}])"));
  // It is kept, and gone on from.
  EXPECT_EQ(create({{"previous_response_id", id_of(first)}}).status, 200);
  const json::array result{
      json::object{{"type", "function_call_output"}, {"call_id", "c"}, {"output", "x"}}};
  EXPECT_EQ(param(create({{"previous_response_id", id_of(first)}, {"input", result}})),
            "input.0.call_id");
  EXPECT_EQ(param(create({{"input", input("completed", "{")}})), "input.1.arguments");
  EXPECT_EQ(create({{"input", input("incomplete", "{}")}}).status, 200);
  EXPECT_TRUE(messages().at(1).as_object().contains("tool_calls"));
}

TEST_F(ResponsesTest, ThoughtsStayWithTheirTurn) {
  const Answer answer = create({{"input", json::parse(R"([
    {"role":"user","content":"hi"},
    {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"One."}]},
    {"type":"reasoning","summary":[{"type":"summary_text","text":"Two."}]},
    {"role":"assistant","content":"I ask."},
    {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Three."}]},
    {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"c","output":"sun"},
    {"role":"assistant","content":"Sun."},
    {"role":"user","content":"and?"}])")}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::array chat = messages();
  ASSERT_EQ(chat.size(), 5u);
  EXPECT_EQ(chat[1].at("reasoning_content"), "One.\nTwo.\nThree.");
  EXPECT_TRUE(chat[1].as_object().contains("tool_calls"));
  EXPECT_FALSE(chat[3].as_object().contains("reasoning_content"));
}

TEST_F(ResponsesTest, LogprobsWhereAskedFor) {
  protocol::Token one = token(1, "A");
  one.logprobs.push_back({{1, "A", -0.5f}, {{1, "A", -0.5f}, {2, "B", -1.0f}}});
  service_.say({accepted(), one, usage(7, 1), end()});
  const json::value body =
      create({{"include", json::array{"message.output_text.logprobs"}}, {"top_logprobs", 2}})
          .json();
  EXPECT_EQ(service_.requests().back().params.at("logprobs"), 2);
  EXPECT_EQ(body.at("output")
                .at(0)
                .at("content")
                .at(0)
                .at("logprobs")
                .at(0)
                .at("top_logprobs")
                .as_array()
                .size(),
            2u);
}

TEST_F(ResponsesTest, AWholeAnswerHasTheOrderOfItsStream) {
  using Kind = protocol::Delta::Kind;
  const auto part = [](protocol::Delta delta) -> Event {
    return protocol::Part(protocol::to_json(delta));
  };
  service_.say({accepted(), part({Kind::Call, 0, "call_1", "weather", ""}),
                part({Kind::Arguments, 0, "", "", "{}"}), token(1, "Then"), token(2, " this."),
                part({Kind::Reasoning, 0, "", "", "Hm."}), token(3, "And that."), usage(7, 9),
                end("stop")});
  const json::object tools{
      {"tools", json::parse(R"([{"type":"function","name":"weather"}])")}};
  json::object streamed = tools;
  streamed["stream"] = true;
  const json::value whole = create(tools).json();
  const json::value last = stream(create(streamed)).back().at("response");
  const auto told = [](const json::value& response) {
    std::string out;
    for (const json::value& item : response.at("output").as_array()) {
      out += std::string(item.at("type").as_string()) + " ";
      if (item.as_object().contains("content"))
        out += std::string(item.at("content").at(0).at("text").as_string()) + " ";
    }
    return out;
  };
  EXPECT_EQ(told(whole), "function_call message Then this. reasoning Hm. message And that. ");
  EXPECT_EQ(told(last), told(whole));
}

TEST_F(ResponsesTest, WhatIsOfAnotherTypeIsNamedAndNotGivenBack) {
  const auto tool = [](json::object more) {
    more["type"] = "function";
    more.emplace("name", "f");
    return json::array{std::move(more)};
  };
  const std::pair<const char*, json::value> wrong[] = {
      {"user", 4},
      {"safety_identifier", json::array()},
      {"prompt_cache_key", 1.5},
      {"prompt_cache_retention", true},
      {"service_tier", 1},
      {"truncation", 7},
      {"metadata", "x"},
      {"max_tool_calls", "3"},
      {"parallel_tool_calls", "no"},
      {"store", "yes"},
      {"background", 0},
      {"instructions", 5},
      {"previous_response_id", 5},
      {"reasoning", json::object{{"effort", 3}}},
      {"tools", tool({{"strict", "x"}})},
      {"tools", tool({{"description", 3}})},
      {"text", json::object{{"format", json::object{{"type", "json_schema"},
                                                    {"name", "n"},
                                                    {"schema", json::object()},
                                                    {"strict", "x"}}}}},
      {"text", json::object{{"format", json::object{{"type", "json_schema"},
                                                    {"name", 4},
                                                    {"schema", json::object()}}}}},
  };
  for (const auto& [name, value] : wrong) {
    const Answer answer = create({{name, value}});
    EXPECT_EQ(answer.status, 400) << name << answer.body;
    EXPECT_TRUE(param(answer).starts_with(name)) << answer.body;
  }
  for (const char* name : {"tools", "tool_choice"}) {  // forms send it for nothing
    const json::value body = create({{name, ""}}).json();
    EXPECT_EQ(body.at("tools"), json::array());
    EXPECT_EQ(body.at("tool_choice"), "auto");
  }
}

TEST_F(ResponsesTest, TokensOfAnInputAreCounted) {
  service_.say({accepted(0), Event(protocol::Result(json::object{{"input_tokens", 7}})), usage(0, 0),
                end()});
  const json::object body{{"model", kModel}, {"input", "hi"}, {"instructions", "Be brief."}};
  const Answer answer = post(path("/input_tokens"), json::serialize(body));
  EXPECT_EQ(answer.json(), json::parse(R"({"object":"response.input_tokens","input_tokens":7})"));
  EXPECT_EQ(service_.requests().back().params.at("count_tokens"), true);
  EXPECT_EQ(post(path("/input_tokens"), R"({"input":"hi"})").status, 400);
  const Answer refused = post(path("/compact"), json::serialize(body));
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("compact"), std::string::npos) << refused.body;
}

TEST_F(ResponsesTest, OneCacheKeyIsOneAffinity) {
  create({{"prompt_cache_key", "user-7"}});
  EXPECT_EQ(service_.requests().back().affinity, "user-7");
  create({{"prompt_cache_key", "has spaces"}});
  EXPECT_EQ(service_.requests().back().affinity, "");
}

}  // namespace
}  // namespace verge::api::testing
