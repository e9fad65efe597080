// JSON mode and its like: what reaches the worker, and what becomes of its answer.
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

constexpr std::string_view kModel = "@cf/meta/llama-3.2-1b-instruct";

class StructuredTest : public ApiTest {
 protected:
  Answer chat(std::string_view more) {
    return post("/v1/chat/completions",
                fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"x"}}]{}}})", kModel, more));
  }
  json::object grammar() {
    const json::object params = service_.requests().back().params;
    const json::object* found = get_object(params, "grammar");
    return found ? *found : json::object();
  }
};

TEST_F(StructuredTest, EachWayInBecomesTheWorkersGrammar) {
  constexpr std::string_view schema = R"({"type":"object","properties":{"z":{"type":"number"},"a":{}}})";
  for (const std::string& format : {fmt::format(R"("response_format":{{"type":"json_schema","json_schema":{}}})", schema),
                                    fmt::format(R"("response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{},"strict":true}}}})", schema),
                                    fmt::format(R"("guided_json":{})", schema)}) {
    service_.say({accepted(), token(1, "{}"), usage(3, 1), end()});
    const Answer answer = run("{\"prompt\":\"x\"," + format + "}");
    EXPECT_EQ(answer.status, 200) << format << answer.body;
    EXPECT_EQ(grammar().at("kind"), "json_schema");
    EXPECT_EQ(grammar().at("source").as_string(), schema) << "keys stay in order";
  }
  EXPECT_EQ(chat(fmt::format(R"(,"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{}}}}})", schema)).status, 200);
  EXPECT_EQ(grammar().at("at"), "/response_format/json_schema/schema");
  EXPECT_EQ(chat(R"(,"response_format":{"type":"json_object"})").status, 200);
  EXPECT_EQ(grammar().at("source"), R"({"type":"object"})");
  EXPECT_EQ(chat(R"(,"guided_regex":"a+")").status, 200);
  EXPECT_EQ(grammar().at("kind"), "regex");
  for (const auto& [field, kind] : std::vector<std::pair<std::string, std::string>>{
           {R"("guided_grammar":"root ::= \"a\"")", "gbnf"},
           {R"("grammar":"root ::= \"a\"")", "gbnf"},
           {R"("ebnf":"root ::= \"a\"")", "gbnf"},
           {R"("regex":"a+")", "regex"},
           {R"("grammar":{"type":"regex","value":"a+"})", "regex"},
           {R"("grammar":{"type":"json","value":{"type":"object"}})", "json_schema"},
           {R"("structured_outputs":{"grammar":"root ::= \"a\""})", "gbnf"},
           {R"("structured_outputs":{"regex":"a+","json":null})", "regex"},
           {R"("structured_outputs":{"choice":["a"]})", "choice"},
           {R"("structured_outputs":{"json":{"type":"object"}})", "json_schema"},
           {R"("structured_outputs":{"json_object":true})", "json_schema"},
           {R"("response_format":{"type":"grammar","grammar":"root ::= \"a\""})", "gbnf"},
           {R"("response_format":{"type":"regex","regex":"a+"})", "regex"}}) {
    const Answer answer = chat("," + field);
    EXPECT_EQ(answer.status, 200) << field << answer.body;
    EXPECT_EQ(get_string(grammar(), "kind"), kind) << field;
  }
  EXPECT_EQ(chat(R"(,"guided_choice":["a","b"])").status, 200);
  EXPECT_EQ(grammar().at("source"), R"(["a","b"])");
  EXPECT_EQ(chat(R"(,"response_format":{"type":"text"},"guided_json":null)").status, 200);
  EXPECT_TRUE(grammar().empty());
}

TEST_F(StructuredTest, WishesThatExcludeEachOtherAreRefusedByName) {
  for (const auto& [more, place] : std::vector<std::pair<std::string, std::string>>{
           {R"(,"response_format":{"type":"json_object"},"stop":["}"])", "/stop"},
           {R"(,"response_format":{"type":"json_object"},"guided_json":{"type":"object"})", "/guided_json"},
           {R"(,"response_format":{"type":"json_schema"})", "/response_format"},
           {R"(,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":[]}})", "/response_format/json_schema/schema"},
           {R"(,"response_format":[1])", "/response_format"},
           {R"(,"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}})", "/text"},
           {R"(,"extra_body":{"guided_json":{"type":"object"}})", "/extra_body"},
           {R"(,"grammar":5)", "/grammar"},
           {R"(,"grammar":{"type":"lark","value":"x"})", "/grammar/type"},
           {R"(,"structured_outputs":{"regex":"a","grammar":"b"})", "/structured_outputs/regex"},
           {R"(,"structured_outputs":{"structural_tag":"a"})", "/structured_outputs/structural_tag"},
           {R"(,"response_format":{"type":"grammar"})", "/response_format"},
           {R"(,"guided_regex":"a","ebnf":"b")", "/guided_regex"},
           {R"(,"guided_choice":[1])", "/guided_choice"}}) {
    const Answer answer = chat(more);
    EXPECT_EQ(answer.status, 400) << more;
    EXPECT_NE(answer.body.find("'" + place), std::string::npos) << answer.body;
  }
}

TEST_F(StructuredTest, WhatIsEmptyIsNoLeaveToWriteAnything) {
  EXPECT_EQ(chat(R"(,"guided_json":{})").status, 200);
  EXPECT_EQ(grammar().at("source"), "{}");
  EXPECT_EQ(chat(R"(,"guided_choice":[])").status, 200);  // the worker refuses it
  EXPECT_EQ(grammar().at("source"), "[]");
  for (const char* named : {R"({"name":"n","schema":null})", R"({"name":"n","strict":true})", R"({"schema":[]})"}) {
    const Answer answer = run(fmt::format(R"({{"prompt":"x","response_format":{{"type":"json_schema","json_schema":{}}}}})", named));
    EXPECT_EQ(answer.status, 400) << named;
    EXPECT_NE(answer.body.find("'/response_format/json_schema"), std::string::npos) << answer.body;
  }
}

TEST_F(StructuredTest, ANativeAnswerIsTheParsedValue) {
  const std::string body = R"({"prompt":"x","response_format":{"type":"json_object"}})";
  service_.say({accepted(), token(1, "{\"a\":"), token(2, "[1]}"), usage(3, 2), end()});
  Answer answer = run(body);
  EXPECT_EQ(answer.json().at("result").at("response"), json::parse(R"({"a":[1]})")) << answer.body;
  service_.say({accepted(), token(1, "{\"a\":"), usage(3, 1), end("length")});
  answer = run(body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("AiError: JSON Mode couldn't be met"), std::string::npos) << answer.body;
  service_.say({accepted(), token(1, "{\"a\":"), usage(3, 1), end("length")});
  answer = run(R"({"prompt":"x","stream":true,"response_format":{"type":"json_object"}})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find("JSON Mode couldn't be met"), std::string::npos) << answer.body;
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos) << answer.body;
  service_.say({accepted(), token(1, "{\"a\":"), usage(3, 1), end("length")});
  answer = chat(R"(,"response_format":{"type":"json_object"})");
  EXPECT_EQ(answer.json().at("choices").at(0).at("finish_reason"), "length") << answer.body;
}

}  // namespace
}  // namespace verge::api::testing
