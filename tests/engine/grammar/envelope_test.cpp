// Texts of parts: free text, marks, objects under schemas.
#include "engine/grammar/envelope.h"

#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "engine/grammar/grammar.h"
#include "support/random.h"

namespace verge::engine::grammar {
namespace {

using Kind = EnvelopePart::Kind;

const testing::ByteTokenizer& tokenizer() {
  static const testing::ByteTokenizer t({"<call>", "</call>", "{\"a\": ", "}</call>", "}<", "l>\n",
                                         "call", " a", "\xC3", "12", "\"}", "<"});
  return t;
}
const TokenBytes& tokens() {
  static const TokenBytes t(tokenizer(), {0}, tokenizer().vocabulary());
  return t;
}

bool admitted(Grammar& g, std::string_view text, bool whole = true) {
  Matcher at = g.start(false);
  for (char c : text) {
    bool taken = false;
    for (int32_t id = 0; id < tokenizer().vocabulary() && !taken; ++id)
      if (tokenizer().piece(id, false) == std::string(1, c))
        taken = admits(*g.mask(at), id) && g.advance(at, id);
    if (!taken) return false;
  }
  return !whole || (g.complete(at) && admits(*g.mask(at), 0));
}

// free text, then calls of the object's schema.
Envelope calls(const std::string& schema) {
  Envelope e;
  const uint32_t text = e.add({Kind::Without, "<call>"}),
                 open = e.add({Kind::Pattern, "<call>\\n?"}),
                 object = e.add({Kind::Object, schema, "", "", "/tools/0/parameters"}),
                 close = e.add({Kind::Pattern, "\\n?</call>"});
  e.first = {text};
  e.parts[text].next = {open};
  e.parts[text].last = true;
  e.parts[open].next = {object};
  e.parts[object].next = {close};
  e.parts[close].next = {text};
  return e;
}

TEST(Envelopes, AdmitTheirPartsInOrder) {
  auto g = Grammar::compile(
      calls(
          R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false})"),
      tokens());
  ASSERT_TRUE(g) << g.error().message;
  for (const char* good :
       {"", "hello <cal", "héllo", "<call>{\"a\": 1}</call>", "x<call>\n{\"a\": -12}\n</call>",
        "<call>{\"a\":1}</call> and\n<call>{\"a\":2}</call>"})
    EXPECT_TRUE(admitted(**g, good)) << good;
  for (const char* bad : {"<call>", "<call>{\"a\":1}", "<call>{\"a\":\"x\"}</call>",
                          "<call>{}</call>", "<call>x", "x<call>{\"a\": 1}</call><call>"})
    EXPECT_FALSE(admitted(**g, bad)) << bad;
}

TEST(Envelopes, ObjectsAreObjectsThoughTheSchemaSaysNothing) {
  auto g = Grammar::compile(calls("{}"), tokens());
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_TRUE(admitted(**g, "<call>{\"b\": [1]}</call>"));
  EXPECT_FALSE(admitted(**g, "<call>5</call>"));
  EXPECT_FALSE(admitted(**g, "<call>[]</call>"));
}

TEST(Envelopes, SchemasAreDocumentsOfTheirOwn) {
  Envelope e;
  const char* schemas[] = {
      R"({"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"const":1}},"required":["a"]})",
      R"({"$ref":"#/definitions/y","$schema":"http://json-schema.org/draft-07/schema#","definitions":{"y":{"type":"object","properties":{"a":{"const":2}},"required":["a"]}}})"};
  for (const char* schema : schemas) {
    const uint32_t mark = e.add({Kind::Pattern, e.parts.empty() ? "1" : "2"}),
                   object = e.add({Kind::Object, schema});
    e.first.push_back(mark);
    e.parts[mark].next = {object};
    e.parts[object].last = true;
  }
  auto g = Grammar::compile(e, tokens());
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_TRUE(admitted(**g, "1{\"a\": 1}"));
  EXPECT_TRUE(admitted(**g, "2{\"a\": 2}"));
  EXPECT_FALSE(admitted(**g, "1{\"a\": 2}"));
  EXPECT_FALSE(admitted(**g, "2{\"a\": 1}"));
}

TEST(Envelopes, ErrorsNameThePlaceInTheRequest) {
  for (
      const auto& [schema, place] :
      {std::pair{R"({"type":"object","properties":{"a":{"type":"wizard"}}})",
                 "'/tools/0/parameters/properties/a' (type)"},
       std::pair{R"({"type":"object","properties":{"a":{"pattern":"("}}})",
                 "'/tools/0/parameters/properties/a' (pattern)"},
       std::pair{
           R"({"type":"object","properties":{"a":{"type":"string","minLength":2,"maxLength":1}},"required":["a"]})",
           "'/tools/0/parameters"},
       std::pair{R"({"type":"string"})", "'/tools/0/parameters'"}}) {
    auto g = Grammar::compile(calls(schema), tokens());
    ASSERT_FALSE(g) << schema;
    EXPECT_NE(g.error().message.find(place), std::string::npos) << g.error().message;
  }
}

TEST(Envelopes, ValuesAndRawStringsOfProperties) {
  const std::string schema =
      R"({"type":"object","properties":{"n":{"type":"integer"},"s":{"type":"string","maxLength":4}}})";
  Envelope e;
  const uint32_t s = e.add({Kind::RawString, schema, "s", "<"}), mark = e.add({Kind::Pattern, "<"}),
                 n = e.add({Kind::Value, schema, "n"}), end = e.add({Kind::Pattern, ">"});
  e.first = {s};
  e.parts[s].next = {mark};
  e.parts[mark].next = {n};
  e.parts[n].next = {end};
  e.parts[n].last = true;
  e.parts[end].last = true;
  auto g = Grammar::compile(e, tokens());
  ASSERT_TRUE(g) << g.error().message;
  for (const char* good : {"a\"b<1>", "<-12", "abcd<0>"}) EXPECT_TRUE(admitted(**g, good)) << good;
  for (const char* bad : {"abcde<1>", "ab", "ab<", "ab<x>", "ab<1>>"})
    EXPECT_FALSE(admitted(**g, bad)) << bad;
}

// A mask says of each token what its bytes say; there is always a token, and the text ends at last.
TEST(Envelopes, MasksAreTheStepsOfTheirTokens) {
  auto g = Grammar::compile(
      calls(R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]})"),
      tokens());
  ASSERT_TRUE(g);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Matcher at = (*g)->start(false);
    for (uint64_t i = 0; i < 60; ++i) {
      const auto mask = (*g)->mask(at);
      std::vector<int32_t> all;
      for (int32_t id = 0; id < tokens().rows(); ++id) {
        Matcher copy = at;
        const bool steps = (*g)->advance(copy, id);
        ASSERT_EQ(admits(*mask, id), steps) << id;
        if (steps && id != 0) all.push_back(id);
      }
      ASSERT_FALSE(all.empty() && !(*g)->complete(at));
      if (all.empty()) break;
      (*g)->advance(at, all[random_at(seed, i) % all.size()]);
    }
  }
}

TEST(Envelopes, KeysTellThemApart) {
  EXPECT_NE(calls("{}").key(), calls("{\"type\":\"object\"}").key());
  EXPECT_EQ(calls("{}").key(), calls("{}").key());
}

}  // namespace
}  // namespace verge::engine::grammar
