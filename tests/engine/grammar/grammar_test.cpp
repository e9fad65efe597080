#include "engine/grammar/grammar.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "support/random.h"

namespace verge::engine::grammar {
namespace {

const testing::ByteTokenizer& tokenizer() {
  static const testing::ByteTokenizer t({"{\"", "\":", "\": ", "\",", "\", \"", "\",\"", "\"}", "\"]", "},", "}]", "[{\"", "true", "null",
                                         "12", "-1", "0.", ".5", "ab", "abc", " a", "é", "日本", "\xE6\x97", "\xA5\"", "\\\"", "\\u", "00",
                                         "\\n", "n\"", "\"\n", "\n  ", "\n", "  ", "name", "value", "\", \"value\": \"", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"});
  return t;
}
const TokenBytes& tokens() {
  static const TokenBytes t(tokenizer(), {0}, tokenizer().vocabulary() + 40);
  return t;
}

bool admitted(Grammar& g, std::string_view text) {
  Matcher at = g.start(false);
  for (int32_t id : tokenizer().encode(text, {}))
    if (!admits(*g.mask(at), id) || !g.advance(at, id)) return false;
  return g.complete(at) && admits(*g.mask(at), 0);
}

struct Case {
  const char* schema;
  std::vector<const char*> good, bad;
};
class Schemas : public ::testing::TestWithParam<Case> {};

// Promises: GR2.
TEST_P(Schemas, AdmitWhatMeetsThemAndNothingElse) {
  const Case& c = GetParam();
  auto g = Grammar::compile(SourceKind::JsonSchema, c.schema, tokens());
  ASSERT_TRUE(g) << c.schema << ": " << g.error().message;
  for (const char* text : c.good) EXPECT_TRUE(admitted(**g, text)) << c.schema << " should admit " << text;
  for (const char* text : c.bad) EXPECT_FALSE(admitted(**g, text)) << c.schema << " should not admit " << text;
}

// A mask says of each token what its bytes say, one after the other; and there is always a token.
// Promises: GR1.
TEST_P(Schemas, MasksAreTheStepsOfTheirTokens) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    auto g = Grammar::compile(SourceKind::JsonSchema, GetParam().schema, tokens());
    ASSERT_TRUE(g);
    Matcher at = (*g)->start(false);
    std::string text;
    for (uint64_t i = 0; i < 60; ++i) {
      const auto mask = (*g)->mask(at);
      std::vector<int32_t> all;
      for (int32_t id = 0; id < tokens().rows(); ++id) {
        Matcher copy = at;
        const bool steps = (*g)->advance(copy, id);
        ASSERT_EQ(admits(*mask, id), steps) << GetParam().schema << " after " << text << " token " << id << " '"
                                            << (id < tokenizer().vocabulary() ? tokenizer().piece(id, true) : "") << "'";
        if (steps && id != 0) all.push_back(id);
      }
      ASSERT_TRUE(!all.empty() || admits(*mask, 0)) << GetParam().schema << " has no way on after " << text;
      if (all.empty()) break;
      const int32_t id = all[random_at(seed, i) % all.size()];
      (*g)->advance(at, id);
      text += tokenizer().piece(id, true);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Schemas,
    ::testing::Values(
        Case{R"({"type":"object","properties":{"a":{"type":"integer","minimum":3,"maximum":20},"b":{"type":"string","maxLength":4}},
               "required":["a"],"additionalProperties":false})",
             {R"({"a":3})", R"({"a": 20, "b": "abcd"})", "{\n  \"a\": 7\n}", R"({"a":7,"b":"日本日本"})"},
             {R"({"a":2})", R"({"a":21})", R"({"b":"x"})", R"({"a":3,"b":"abcde"})", R"({"b":"x","a":3})", R"({"a":3,"a":4})", R"({"a":3,})",
              "{\n\n\"a\": 7}", R"( {"a":3})", R"({"a":03})", R"({"a":3,"b":"日本日本日"})"}},
        Case{R"({"type":"object","additionalProperties":{"type":"boolean"}})",
             {"{}", R"({"x":true,"y":false})", R"({"":true})", R"({"a\"b":true})"},
             {R"({"x":1})", R"({"x":true,"x":true})", R"({"x":true,"y":true,"x":false})", R"({"a\"b":true,"a\"b":true})", R"({"x\u0061":true})"}},
        Case{R"({"type":"array","items":{"type":["string","number"]},"uniqueItems":true,"minItems":2})",
             {R"(["a","b"])", R"([1,2,"1"])", R"(["a", "ab"])"},
             {R"(["a"])", R"(["a","a"])", R"([1,1])", R"([1,1.0])", R"(["b","a","b"])"}},
        Case{R"({"type":"array","items":{"enum":[1,2,null]},"uniqueItems":true})", {"[1,2,null]", "[]"}, {"[1,1]", "[3]", "[1,2,null,1]", "[1,2,null,"}},
        Case{R"({"enum":["a","ab",3,null,{"k":[1,2]}]})", {R"("a")", R"("ab")", "3", "3.0", "null", R"({"k":[1,2]})"}, {R"("abc")", R"("")", "4", R"({"k":[1]})", R"({"k":[1,2],"l":1})"}},
        Case{R"({"type":"string","pattern":"^\\d{3}-[a-z]+$"})", {R"("123-abc")"}, {R"("12-abc")", R"("123-")", R"("123-abc!")", R"("x123-abc")"}},
        Case{R"({"type":"string","pattern":"b+"})", {R"("abc")", R"("b")", R"("日b\n")"}, {R"("ac")", R"("")"}},
        Case{R"({"type":"string","pattern":"^(?!ab)[a-c]{2,4}$"})", {R"("aab")", R"("ba")"}, {R"("ab")", R"("abc")", R"("a")"}},
        Case{R"({"type":"string","pattern":"[\"\\n]"})", {R"("a\"b")", R"("\n")"}, {R"("ab")"}},
        Case{R"({"type":"string","minLength":2,"maxLength":3})", {R"("ab")", R"("a\n日")", "\"\xF0\x9F\x98\x80x\""}, {R"("a")", R"("abcd")", "\"\xF0\x9F\x98\x80\""}},
        Case{R"({"type":"string","minLength":1000000})", {}, {R"("a")"}},
        Case{R"({"type":"number","exclusiveMinimum":-0.5,"maximum":12.25})", {"-0.49", "0", "12.25", "12.250", "-0.0", "5"}, {"-0.5", "-0.50", "12.26", "13", "100", "1e1"}},
        Case{R"({"type":"number","multipleOf":0.05})", {"0.05", "1", "-2.15", "1.10"}, {"0.04", "1.111"}},
        Case{R"({"type":"integer","multipleOf":7,"minimum":50})", {"56", "70"}, {"49", "57", "7"}},
        Case{R"({"type":"number"})", {"1", "-1.5e-7", "0.1", "1E+3"}, {"01", "+1", ".5", "1.", "NaN", "-"}},
        Case{R"({"format":"date","type":"string"})", {R"("2024-02-29")", R"("1999-12-31")"}, {R"("2023-02-29")", R"("1900-02-29")", R"("2023-04-31")", R"("2023-1-1")"}},
        Case{R"({"format":"ipv6","type":"string"})", {R"("::1")", R"("1::8")", R"("1:2:3:4:5:6:7:8")", R"("::ffff:1.2.3.4")"}, {R"("1:2")", R"("1::2::3")", R"("12345::")"}},
        Case{R"({"format":"unheard-of"})", {R"("x")", "1"}, {}},
        Case{R"({"oneOf":[{"type":"integer"},{"minimum":2}]})", {"1", "2.5", R"("x")"}, {"3", "1.5"}},
        Case{R"({"not":{"type":["object","array"]}})", {"1", R"("x")", "null"}, {"{}", "[]"}},
        Case{R"({"type":"object","properties":{"k":{"enum":["a","b"]}},"required":["k"],"if":{"properties":{"k":{"const":"a"}}},
               "then":{"required":["x"]},"else":{"properties":{"x":false}}})",
             {R"({"k":"a","x":1})", R"({"k":"b"})", R"({"x":1,"k":"a"})"}, {R"({"k":"a"})", R"({"k":"b","x":1})", "{}"}},
        Case{R"({"type":"object","dependentRequired":{"a":["b"]},"maxProperties":2})", {"{}", R"({"a":1,"b":2})", R"({"b":1})"}, {R"({"a":1})", R"({"a":1,"b":2,"c":3})"}},
        Case{R"({"type":"object","minProperties":2,"propertyNames":{"pattern":"^[a-c]$"}})", {R"({"a":1,"c":2})"}, {R"({"a":1})", R"({"a":1,"d":2})", "{}"}},
        Case{R"({"type":"object","patternProperties":{"^n":{"type":"number"},"e$":{"minimum":5}},"additionalProperties":false})",
             {R"({"n":1,"e":"x"})", R"({"ne":6})"}, {R"({"ne":1})", R"({"n":"x"})", R"({"x":1})"}},
        Case{R"({"type":"array","contains":{"const":5},"minContains":2,"maxItems":3})", {"[5,5]", "[1,5,5]", "[5,5,5]"}, {"[5]", "[1,2,5]", "[5,5,1,1]"}},
        Case{R"({"type":"array","prefixItems":[{"type":"string"},{"type":"null"}],"items":false,"minItems":1})", {R"(["a"])", R"(["a",null])"}, {"[]", R"(["a",null,1])", "[null]"}},
        Case{R"({"$defs":{"tree":{"type":"object","properties":{"v":{"type":"integer"},"c":{"type":"array","items":{"$ref":"#/$defs/tree"}}},
               "required":["v"],"additionalProperties":false}},"$ref":"#/$defs/tree"})",
             {R"({"v":1})", R"({"v":1,"c":[{"v":2,"c":[]},{"v":3}]})"}, {R"({"c":[]})", R"({"v":1,"c":[{}]})"}},
        Case{R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"a":{"minimum":3}}}],"type":"object"})",
             {R"({"a":3,"z":{}})"}, {R"({"a":2})", R"({"a":3.5})"}},
        Case{R"({"type":"object","properties":{"z":{"const":1},"a":{"const":2}},"required":["q","a","z"]})",
             {R"({"z":1,"a":2,"q":0})", R"({"z":1,"a":2,"q":0,"b":[]})"}, {R"({"a":2,"z":1,"q":0})", R"({"z":1,"q":0,"a":2})", R"({"z":1,"a":2})"}},
        Case{"true", {"{}", "[1,[2]]", R"("x")", "0"}, {"", "x", "[1,]", "{1:2}"}}));

struct Refused {
  const char* schema;
  const char* place;  // that the error names
};
class Refusals : public ::testing::TestWithParam<Refused> {};

TEST_P(Refusals, NameThePlaceAndTheKeyword) {
  auto g = Grammar::compile(SourceKind::JsonSchema, GetParam().schema, tokens());
  ASSERT_FALSE(g) << GetParam().schema;
  EXPECT_EQ(g.error().code, Code::InvalidInput);
  EXPECT_NE(g.error().message.find(GetParam().place), std::string::npos) << g.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, Refusals,
    ::testing::Values(Refused{"false", "''"}, Refused{"5", "''"}, Refused{R"("object")", "''"}, Refused{"null", "''"}, Refused{"[]", "''"}, Refused{"{", "no JSON"},
                      Refused{R"({"type":"strin"})", "'' (type)"}, Refused{R"({"type":[]})", "(type)"},
                      Refused{R"({"type":"string","minLength":5,"maxLength":2})", "Length)"},
                      Refused{R"({"type":"object","properties":{"a":{"type":"array","minItems":4,"maxItems":2}},"required":["a"]})", "'/properties/a' (m"},
                      Refused{R"({"type":"integer","minimum":3,"maximum":2})", "imum)"}, Refused{R"({"type":"integer","minimum":1.2,"maximum":1.8})", "imum)"},
                      Refused{R"({"properties":{"x/y":{"pattern":"a("}}})", "'/properties/x~1y' (pattern)"}, Refused{R"({"pattern":"(?<=a)b"})", "(pattern)"},
                      Refused{R"({"pattern":"(a)\\1"})", "(pattern)"}, Refused{R"({"pattern":"[z-a]"})", "(pattern)"}, Refused{R"({"pattern":5})", "(pattern)"},
                      Refused{R"({"type":"string","pattern":"^a{5}$","maxLength":3})", "(maxLength)"}, Refused{R"({"pattern":"^(\\w|a{2,1})$"})", "(pattern)"},
                      Refused{R"({"$ref":"#"})", "($ref)"}, Refused{R"({"$ref":"https://example.com/s.json"})", "nothing is fetched"}, Refused{R"({"$ref":"#/nope"})", "($ref)"},
                      Refused{R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "($ref)"},
                      Refused{R"({"type":"object","properties":{"next":{"$ref":"#"}},"required":["next"]})", "nested without an end"},
                      Refused{R"({"enum":[]})", "(enum)"}, Refused{R"({"enum":5})", "(enum)"}, Refused{R"({"anyOf":[]})", "(anyOf)"}, Refused{R"({"allOf":{}})", "(allOf)"},
                      Refused{R"({"properties":[]})", "(properties)"}, Refused{R"({"properties":{"a":1}})", "(properties)"}, Refused{R"({"required":"a"})", "(required)"},
                      Refused{R"({"minLength":-1})", "(minLength)"}, Refused{R"({"minLength":1.5})", "(minLength)"}, Refused{R"({"multipleOf":0})", "(multipleOf)"},
                      Refused{R"({"minimum":"3"})", "(minimum)"}, Refused{R"({"items":3})", "(items)"}, Refused{R"({"unevaluatedProperties":false})", "(unevaluatedProperties)"},
                      Refused{R"({"$dynamicRef":"#x"})", "($dynamicRef)"}, Refused{R"({"type":"array","items":{"type":"object"},"uniqueItems":true})", "(uniqueItems)"},
                      Refused{R"({"type":"array","items":{"enum":[1,2]},"uniqueItems":true,"minItems":3})", "''"},
                      Refused{R"({"type":"object","a":1,"type":"string"})", "twice"}, Refused{R"({"const":1,"type":"string"})", "''"},
                      Refused{R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "(type)"}));

TEST(Grammar, IsBoundedInDepthValuesAndBytes) {
  std::string deep;
  for (int i = 0; i < 2000; ++i) deep += R"({"items":)";
  deep += "{}" + std::string(2000, '}');
  auto g = Grammar::compile(SourceKind::JsonSchema, deep, tokens());
  ASSERT_FALSE(g);
  EXPECT_NE(g.error().message.find("deeper"), std::string::npos) << g.error().message;
  std::string many = R"({"enum":[0)";
  for (int i = 1; i < 150'000; ++i) many += "," + std::to_string(i);
  EXPECT_FALSE(Grammar::compile(SourceKind::JsonSchema, many + "]}", tokens()));
  EXPECT_FALSE(Grammar::compile(SourceKind::JsonSchema, "\"" + std::string(2 << 20, 'a') + "\"", tokens()));
  std::string nested = "a";
  for (int i = 0; i < 10; ++i) nested = "(" + nested + "{1,1000})";
  auto counters = Grammar::compile(SourceKind::Regex, nested, tokens());
  if (counters) (*counters)->mask((*counters)->start(false));
}

// Three ways to read each bracket: without a bound they would be 3^60.
TEST(Grammar, FollowsABoundedNumberOfBranches) {
  constexpr const char* schema = R"({"$defs":{"a":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/a"}},
      {"type":"array","items":{"$ref":"#/$defs/a"},"maxItems":3},{"type":"array","items":{"$ref":"#/$defs/a"},"minItems":1}]}},
      "$ref":"#/$defs/a"})";
  const std::string text = std::string(60, '[') + std::string(60, ']');
  for (const bool visited : {false, true}) {  // what others wrote before changes nothing
    auto g = Grammar::compile(SourceKind::JsonSchema, schema, tokens());
    ASSERT_TRUE(g);
    if (visited) {
      EXPECT_TRUE(admitted(**g, "[[],[[[]]],[]]"));
    }
    EXPECT_TRUE(admitted(**g, text));
    EXPECT_FALSE(admitted(**g, text + "]"));
  }
  std::string many;
  for (int i = 0; i < 600; ++i)
    many += fmt::format(R"({}{{"type":"object","properties":{{"a":{{"const":{}}}}},"required":["a"]}})", i ? "," : "", i);
  auto g = Grammar::compile(SourceKind::JsonSchema, R"({"anyOf":[)" + many + "]}", tokens());
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_TRUE(admitted(**g, R"({"a":599})"));
  EXPECT_FALSE(admitted(**g, R"({"a":600})"));
}

TEST(Grammar, TakesExpressionsAndChoices) {
  auto regex = Grammar::compile(SourceKind::Regex, "(ab|cd)+x?", tokens());
  ASSERT_TRUE(regex) << regex.error().message;
  EXPECT_TRUE(admitted(**regex, "abcdx"));
  EXPECT_FALSE(admitted(**regex, "abx "));
  EXPECT_FALSE(admitted(**regex, "x"));
  auto choice = Grammar::compile(SourceKind::Choice, R"(["yes","no \"really\"",""])", tokens());
  ASSERT_TRUE(choice) << choice.error().message;
  EXPECT_TRUE(admitted(**choice, "no \"really\""));
  EXPECT_TRUE(admitted(**choice, ""));
  EXPECT_FALSE(admitted(**choice, "y"));
  EXPECT_FALSE(Grammar::compile(SourceKind::Choice, "[]", tokens()));
  EXPECT_FALSE(Grammar::compile(SourceKind::Choice, "[1]", tokens()));
  EXPECT_FALSE(Grammar::compile(SourceKind::Regex, "a$b", tokens()));
}

// What came before with a grammar changes nothing of its masks: a stream goes on elsewhere with the same bytes.
TEST(Grammar, MasksDependOnTheIdsAlone) {
  constexpr std::string_view schema = R"({"type":"object","additionalProperties":{"type":"array","items":{"type":"string"},"uniqueItems":true}})";
  auto used = Grammar::compile(SourceKind::JsonSchema, schema, tokens()), fresh = Grammar::compile(SourceKind::JsonSchema, schema, tokens());
  ASSERT_TRUE(used && fresh);
  for (const char* text : {R"({"name":["ab","abc"],"value":[]})", R"({"ab":["a"]})"}) EXPECT_TRUE(admitted(**used, text));
  Matcher a = (*used)->start(false), b = (*fresh)->start(false);
  for (int32_t id : tokenizer().encode(R"({"ab": ["abc", "name"], "name": ["va)", {})) {
    EXPECT_EQ(*(*used)->mask(a), *(*fresh)->mask(b));
    ASSERT_TRUE((*used)->advance(a, id));
    ASSERT_TRUE((*fresh)->advance(b, id));
  }
}

}  // namespace
}  // namespace verge::engine::grammar
