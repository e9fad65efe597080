#include "catalogue/schema.h"

#include <gtest/gtest.h>

#include "catalogue/catalogue.h"

namespace verge::catalogue {
namespace {

// The messages below are captured from the published service where they are whole.
std::string why(const json::object& schema, std::string_view input) {
  auto result = validate(schema, json::parse(input));
  return result ? "" : result.error().message;
}

const json::object& text_input() {
  static const Catalogue kCatalogue = std::move(*Catalogue::load({}));
  return kCatalogue.schema(*kCatalogue.find("@cf/meta/llama-3.2-1b-instruct")).at("input").as_object();
}

TEST(Schema, TakesPromptOrMessages) {
  EXPECT_EQ(why(text_input(), R"({"prompt":"hi"})"), "");
  EXPECT_EQ(why(text_input(), R"({"messages":[{"role":"user","content":"hi"}],"temperature":0})"), "");
  EXPECT_EQ(why(text_input(), R"({"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"unknown":1})"), "");
}

TEST(Schema, NothingRequiredIsThere) {
  EXPECT_EQ(why(text_input(), "{}"),
            "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', required properties at '/' are 'messages'");
}

TEST(Schema, ViolationsOfAllBranchesAreListed) {
  EXPECT_EQ(why(text_input(), R"({"messages":[{"role":"user","content":"hi"}],"top_k":60})"),
            "oneOf at '/' not met, 0 matches: '/top_k' must be <= 50");
  EXPECT_EQ(why(text_input(), R"({"prompt":5})"),
            "oneOf at '/' not met, 0 matches: Type mismatch of '/prompt', 'string' not in 'number','integer', required properties at '/' "
            "are 'messages'");
  EXPECT_EQ(why(text_input(), R"({"prompt":""})"),
            "oneOf at '/' not met, 0 matches: Length of '/prompt' must be >= 1 not met, required properties at '/' are 'messages'");
}

TEST(Schema, NestedAlternativeNamesItsPlace) {
  std::string message = why(text_input(), R"({"messages":[{"role":"user","content":5}]})");
  EXPECT_NE(message.find("Type mismatch of '/messages/0/content', 'string' not in 'number','integer'"), std::string::npos) << message;
}

TEST(Schema, BothBranchesAtOnceIsNotOne) {
  EXPECT_EQ(why(text_input(), R"({"prompt":"x","messages":[{"role":"user","content":"hi"}]})"), "oneOf at '/' not met, 2 matches");
}

TEST(Schema, RootOfAnotherTypeIsRefused) {
  for (const char* input : {"[]", "null", "5", "\"x\"", "true"})
    EXPECT_NE(why(text_input(), input).find("Type mismatch of '/', 'object' not in"), std::string::npos);
}

struct Case {
  const char* schema;
  const char* input;
  const char* message;  // empty = valid
};
class SchemaCase : public testing::TestWithParam<Case> {};

TEST_P(SchemaCase, GivesTheMessage) {
  json::value schema = json::parse(GetParam().schema);
  ASSERT_TRUE(check_schema(schema.as_object()));
  EXPECT_EQ(why(schema.as_object(), GetParam().input), GetParam().message) << GetParam().schema << " " << GetParam().input;
}

INSTANTIATE_TEST_SUITE_P(
    All, SchemaCase,
    testing::Values(Case{R"({"type":"integer"})", "5.0", ""},
                    Case{R"({"type":"integer"})", "5.5", "Type mismatch of '/', 'integer' not in 'number'"},
                    Case{R"({"type":"integer"})", "18446744073709551615", ""}, Case{R"({"type":["string","null"]})", "null", ""},
                    Case{R"({"type":["string","null"]})", "[]", "Type mismatch of '/', 'string,null' not in 'array'"},
                    Case{R"({"type":"number","minimum":0.001})", "0", "'/' must be >= 0.001"},
                    Case{R"({"type":"number","maximum":5})", "5.01", "'/' must be <= 5"},
                    Case{R"({"type":"number","exclusiveMinimum":0})", "0", "'/' must be > 0"},
                    Case{R"({"type":"number","maximum":5})", "5", ""}, Case{R"({"type":"string","maxLength":2})", "\"aé\"", ""},
                    Case{R"({"type":"string","maxLength":2})", "\"aéb\"", "Length of '/' must be <= 2"},
                    Case{R"({"type":"string","maxLength":1})", "\"\\ud83d\\ude00\"", "Length of '/' must be <= 1"},
                    Case{R"({"type":"string","pattern":"^data:*"})", "\"data:image/png\"", ""},
                    Case{R"({"type":"string","pattern":"^data:*"})", "\"http://x\"", "'/' failed test ^data:* patttern"},
                    Case{R"({"enum":["a","b"]})", "\"c\"", "enum c not in a,b at '/'"},
                    Case{R"({"const":"a"})", "\"c\"", "const c doesn't match a at '/'"},
                    Case{R"({"type":"array","items":{"type":"string"}})", R"(["a",1])",
                         "Type mismatch of '/1', 'string' not in 'number','integer'"},
                    Case{R"({"type":"array","minItems":1})", "[]", "minItems at '/' is 1, got 0"},
                    Case{R"({"type":"object","properties":{"a":{}},"additionalProperties":false})", R"({"a":1,"b":2,"c":3})",
                         "Additional or unevaluated properties '/b, /c' at '/' not allowed"},
                    Case{R"({"type":"object","additionalProperties":{"type":"number"}})", R"({"a":"x"})",
                         "Type mismatch of '/a', 'number' not in 'string'"},
                    Case{R"({"anyOf":[{"type":"string"},{"type":"null"}]})", "5",
                         "anyOf at '/' not met: Type mismatch of '/', 'string' not in 'number','integer', Type mismatch of '/', 'null' not "
                         "in 'number','integer'"},
                    Case{R"({"type":"object","required":["a","b"]})", R"({"a":1})", "required properties at '/' are 'a,b'"}));

TEST(Schema, CatastrophicPatternEnds) {
  EXPECT_NE(why(json::parse(R"({"pattern":"^(a+)+$"})").as_object(), "\"" + std::string(5000, 'a') + "!\""), "");
}

TEST(Schema, UnknownKeywordOfASchemaIsRefused) {
  auto result = check_schema(json::parse(R"({"properties":{"a":{"items":{"$ref":"x"}}}})").as_object());
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("/properties/a/items/$ref"), std::string::npos);
  EXPECT_FALSE(check_schema(json::parse(R"({"oneOf":{}})").as_object()));
  EXPECT_FALSE(check_schema(json::parse(R"({"type":5})").as_object()));
  EXPECT_FALSE(check_schema(json::parse(R"({"minimum":"x"})").as_object()));
}

TEST(Schema, AHostileInputGivesAShortMessage) {
  std::string input = "{\"messages\":[";
  for (int i = 0; i < 1000; ++i) input += fmt::format("{}{{\"role\":{},\"content\":5}}", i ? "," : "", i);
  input += "]," + ("\"" + std::string(100000, 'k') + "\":1}");
  EXPECT_LT(why(text_input(), input).size(), 4096u);
  EXPECT_LT(why(json::parse(R"({"enum":["a"]})").as_object(), "\"" + std::string(100000, 'x') + "\"").size(), 200u);
}

}  // namespace
}  // namespace verge::catalogue
