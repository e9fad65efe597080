#include "engine/grammar/gbnf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "engine/grammar/grammar.h"
#include "support/random.h"

namespace verge::engine::grammar {
namespace {

const testing::ByteTokenizer& tokenizer() {
  static const testing::ByteTokenizer t({"((", "))", "{\"", "\":", "true", "12", "é", "ab"});
  return t;
}
const TokenBytes& tokens() {
  static const TokenBytes t(tokenizer(), {0}, tokenizer().vocabulary());
  return t;
}

bool admitted(Grammar& g, std::string_view text) {
  Matcher at = g.start(false);
  for (int32_t id : tokenizer().encode(text, {}))
    if (!admits(*g.mask(at), id) || !g.advance(at, id)) return false;
  return g.complete(at) && admits(*g.mask(at), 0);
}

constexpr const char* kJson = R"(# as llama.cpp has it
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
)";

struct Case {
  std::string grammar;
  std::vector<std::string> good, bad;
};
class Gbnf : public ::testing::TestWithParam<Case> {};

// Promises: GR2.
TEST_P(Gbnf, AdmitsItsTextsAndNoOthers) {
  const auto g = Grammar::compile(SourceKind::Gbnf, GetParam().grammar, tokens());
  ASSERT_TRUE(g) << g.error().message;
  for (const std::string& text : GetParam().good) EXPECT_TRUE(admitted(**g, text)) << text;
  for (const std::string& text : GetParam().bad) EXPECT_FALSE(admitted(**g, text)) << text;
}

// Promises: GR1.
TEST_P(Gbnf, MasksAreTheStepsOfTheirTokensAndNeverEmpty) {
  const auto g = Grammar::compile(SourceKind::Gbnf, GetParam().grammar, tokens());
  ASSERT_TRUE(g) << g.error().message;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    Matcher at = (*g)->start(false);
    for (uint64_t i = 0; i < 50; ++i) {
      const auto mask = (*g)->mask(at);
      std::vector<int32_t> all;
      for (int32_t id = 0; id < tokens().rows(); ++id) {
        Matcher copy = at;
        ASSERT_EQ(admits(*mask, id), (*g)->advance(copy, id)) << id;
        if (admits(*mask, id)) all.push_back(id);
      }
      ASSERT_FALSE(all.empty());
      const int32_t id = all[random_at(seed, i) % all.size()];
      if (id == 0) break;
      ASSERT_TRUE((*g)->advance(at, id));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Gbnf,
    ::testing::Values(
        Case{R"~(root ::= "yes" | "no")~", {"yes", "no"}, {"", "ye", "yesno"}},
        Case{R"~(root ::= [a-c]{2,3} "-" [^0-9])~", {"ab-x", "abc-é"}, {"a-x", "ab-1", "abca-x"}},
        Case{R"~(root ::= .{1000000} "!")~", {}, {"!", "aaaa!"}},
        Case{R"~(root ::= "" | "a")~", {"", "a"}, {"aa"}},
        Case{R"~(root ::= "\"\\\n\x41\u00e9\U0001F600[]")~", {"\"\\\nAé😀[]"}, {"A"}},
        Case{"root ::= a-1\n  | b_2 # second\na-1 ::= \"x\"\nb_2 ::=\n \"y\"", {"x", "y"}, {"xy"}},
        Case{R"~(root ::= "(" root ")" | "")~", {"", "()", "((()))"}, {"(", "(()", ")("}},
        Case{R"~(root ::= "(" root? ")" root?)~", {"()", "(())()", "()()((()))"}, {"", "(()"}},
        Case{R"~(root ::= "a" root | "b")~", {"b", "ab", std::string(900, 'a') + "b"}, {"", "aa"}},
        Case{R"~(root ::= term ("+" term)*
term ::= [0-9]+ | "(" root ")")~",
             {"1", "1+2", "(1+23)+(4)", "((((1))))+2"}, {"1+", "(1", "+1"}},
        Case{R"~(root ::= x{2,3}
x ::= "a" | "[" x "]")~", {"aa", "a[a]", "[[a]]a[a]"}, {"a", "aaaa", "[a"}},
        Case{R"~(root ::= x{0,2} "."
x ::= "a" x? | "b")~", {".", "ab.", "aab."}, {"bbb.", "ab"}},
        // Two ways to the same text, each with a stack of its own.
        Case{R"~(root ::= a "1" | b "2"
a ::= "x" a "y" | "z"
b ::= "x" b "y" | "z")~", {"z1", "xxzyy2"}, {"xzyy1", "xzy3"}},
        // An alternative without an end is left out.
        Case{R"~(root ::= "a" | "b" loop
loop ::= "c" loop)~", {"a"}, {"b", "bc"}},
        Case{R"~(root ::= e* "."
e ::= | "(" e ")")~", {".", "().", "(())()."}, {"(."}},
        Case{kJson, {"{}", R"({"a": [1, {"b": null}], "c": -1.5e3})", "{\n  \"é\\u00e9\": true}"},
             {"[]", "{", R"({"a"})", R"({"a": 01})", R"({"a": tru})", "{}}"}}));

TEST(GbnfText, WhatIsWrongIsNamedWithLineAndColumn) {
  for (const auto& [source, says] : std::vector<std::pair<std::string, std::string>>{
           {"", "there is no rule 'root'"},
           {"start ::= \"a\"", "there is no rule 'root'"},
           {"root ::= \"a\"\nb ::= c", "at line 2, column 7: the rule 'c' is not defined"},
           {"root ::= \"é\" $", "at line 1, column 14: "},
           {"root ::= \"a", "at line 1, column 10: a text has no closing quote"},
           {"root ::= [a", "a class has no ']'"},
           {"root ::= []", "no character is in this class"},
           {"root ::= [z-a]", "a range of characters is crossed"},
           {"root ::= (\"a\"", "a group has no ')'"},
           {"root ::= \"a\")", "at line 1, column 13: "},
           {"root ::= *", "nothing stands before this repetition"},
           {"root ::= \"a\"{3,2}", "the counts of a repetition are crossed"},
           {"root ::= \"a\"{x}", "a number is expected here"},
           {"root ::= \"\\q\"", "this escape is not known"},
           {"root ::= \"\\", "this escape is not known"},
           {"root ::= \"\\xZ\"", "hexadecimal digits are missing"},
           {"root ::= \"\\ud800\"", "this is no character"},
           {"root ::= <[12]>", "references to tokens"},
           {"root ::= \"a\"\nroot ::= \"b\"", "at line 2, column 1: the rule 'root' is defined twice"},
           {"?start: \"a\"", "Lark's"},
           {"start: \"a\"", "Lark's"},
           {"root ::= root \"a\" | \"b\"", "the rule 'root': it begins with itself"},
           {"root ::= a\na ::= \"x\"? b\nb ::= a \"y\" | \"z\"", "it begins with itself"},
           {"root ::= \"a\" root", "no text can be ended"},
           {"root ::= a{2000}\na ::= \"x\" a | \"y\"", "is repeated 2000 times"}}) {
    const auto g = Grammar::compile(SourceKind::Gbnf, source, tokens());
    ASSERT_FALSE(g) << source;
    EXPECT_NE(g.error().message.find(says), std::string::npos) << source << ": " << g.error().message;
  }
}

TEST(GbnfText, LargeOnesAreBounded) {
  std::string many = "root ::= \"x0\"", chain, doubling, rules;
  for (int i = 1; i < 60'000; ++i) many += fmt::format("|\"x{}\"", i);
  EXPECT_TRUE(Grammar::compile(SourceKind::Gbnf, many, tokens()));
  for (const std::string& source :
       {many + std::string(1 << 20, ' '), "root ::= " + std::string(2000, '(') + "\"a\"",
        "root ::= \"a\"" + std::string(5000, '*')})
    EXPECT_FALSE(Grammar::compile(SourceKind::Gbnf, source, tokens()));
  for (int i = 0; i < 20'000; ++i) chain += fmt::format("r{} ::= r{}\n", i, i + 1);
  EXPECT_TRUE(Grammar::compile(SourceKind::Gbnf, "root ::= r0\n" + chain + "r20000 ::= \"a\"", tokens()));
  EXPECT_FALSE(Grammar::compile(SourceKind::Gbnf, "root ::= r0\n" + chain + "r20000 ::= r0", tokens()));
  // Ways to go on that double with each rule: bounded, and what is admitted can be ended.
  for (int i = 0; i < 60; ++i)
    doubling += fmt::format("r{} ::= r{} \"1\" | r{} \"2\" | r{} | r{}\n", i, i + 1, i + 1, i + 1, i + 1);
  const auto g = Grammar::compile(
      SourceKind::Gbnf, "root ::= r0\n" + doubling + "r60 ::= \"(\" r60 \")\" | \"x\"", tokens());
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_TRUE(admitted(**g, "(x)" + std::string(60, '1')));
}

// As deep as a stack may be and no deeper; at the bottom only what ends is left.
TEST(GbnfText, DepthIsBoundedAndLeadsNowhereDead) {
  const auto g = Grammar::compile(SourceKind::Gbnf, R"~(root ::= "(" root ")" | "x")~", tokens());
  ASSERT_TRUE(g);
  EXPECT_TRUE(admitted(**g, std::string(200, '(') + "x" + std::string(200, ')')));
  Matcher at = (*g)->start(false);
  int depth = 0;
  while ((*g)->advance(at, '(' + 1)) ++depth;
  EXPECT_GE(depth, 250);
  ASSERT_TRUE((*g)->advance(at, 'x' + 1));
  for (int i = 0; i < depth; ++i) ASSERT_TRUE((*g)->advance(at, ')' + 1));
  EXPECT_TRUE((*g)->complete(at));
}

// As a part between others: a thought, then the answer.
TEST(GbnfText, IsAPartOfAnEnvelope) {
  Envelope envelope;
  const uint32_t thought = envelope.add({EnvelopePart::Kind::Pattern, "<t>[a-z]*</t>"});
  const uint32_t body =
      envelope.add({EnvelopePart::Kind::Gbnf, R"~(root ::= "(" root ")" | "")~"});
  envelope.parts[thought].next = {body};
  envelope.parts[body].last = true;
  envelope.first = {thought, body};
  const auto g = Grammar::compile(envelope, tokens());
  ASSERT_TRUE(g) << g.error().message;
  for (const char* text : {"", "(())", "<t>ab</t>", "<t></t>(())"}) EXPECT_TRUE(admitted(**g, text)) << text;
  for (const char* text : {"(", "<t>ab", "<t>ab</t>(", "()<t></t>"}) EXPECT_FALSE(admitted(**g, text)) << text;
}

}  // namespace
}  // namespace verge::engine::grammar
