// Thoughts, text and calls together; what the grammar lets pass, the parser reads.
#include "engine/tools/answer.h"

#include <gtest/gtest.h>

#include "engine/grammar/grammar.h"
#include "support/json.h"
#include "support/random.h"
#include "tests/engine/grammar/byte_tokenizer.h"

namespace verge::engine::tools {
namespace {

const verge::testing::ByteTokenizer& tokenizer() {
  static const verge::testing::ByteTokenizer t({"<tool_call>", "</tool_call>", "<think>",
                                                "</think>", "name", "\": \"", "{\"", "\"}",
                                                "[TOOL_CALLS]", "\n\n", "Ulm", "<｜", "｜>", "<|"});
  return t;
}
const grammar::TokenBytes& tokens() {
  static const grammar::TokenBytes t(tokenizer(), {0}, tokenizer().vocabulary());
  return t;
}

std::vector<Function> functions() {
  return {
      {"get_weather",
       R"({"type":"object","properties":{"city":{"type":"string","maxLength":8},"days":{"type":"integer","minimum":0,"maximum":9},"sure":{"type":"boolean"}},"required":["city"],"additionalProperties":false})",
       "/tools/0/parameters"},
      {"now", R"({"type":"object","properties":{},"additionalProperties":false})",
       "/tools/1/parameters"}};
}

std::shared_ptr<grammar::Grammar> compile(const AnswerForm& form) {
  const auto envelope = answer_envelope(form);
  EXPECT_TRUE(envelope.ok());
  auto made = grammar::Grammar::compile(*envelope, tokens());
  EXPECT_TRUE(made.ok()) << made.error().message;
  return *made;
}

bool admitted(grammar::Grammar& g, std::string_view text, bool whole = true) {
  grammar::Matcher at = g.start(false);
  for (char c : text) {
    bool taken = false;
    for (int32_t id = 0; id < tokenizer().vocabulary() && !taken; ++id)
      if (tokenizer().piece(id, false) == std::string(1, c))
        taken = grammar::admits(*g.mask(at), id) && g.advance(at, id);
    if (!taken) return false;
  }
  return !whole || g.complete(at);
}

struct Read {
  std::string text, reasoning;
  std::vector<Call> calls;
};
Read read(const AnswerForm& form, const std::string& text, size_t cut) {
  Read out;
  const auto parser = answer_parser(form);
  std::vector<Delta> deltas;
  parser->push(text.substr(0, cut), deltas);
  if (cut < text.size()) parser->push(text.substr(cut), deltas);
  parser->finish(deltas);
  for (const Delta& d : deltas) {
    if (d.kind == Delta::Kind::Text) out.text += d.text;
    if (d.kind == Delta::Kind::Reasoning) out.reasoning += d.text;
    if (d.kind == Delta::Kind::Call) out.calls.push_back({d.name, ""});
    if (d.kind == Delta::Kind::Arguments) out.calls.at(d.index).arguments += d.text;
  }
  return out;
}

class AnswerForms : public ::testing::TestWithParam<const Syntax*> {};

// Every call that the family can write is admitted, where one is required and where it may be.
TEST_P(AnswerForms, AdmitWhatTheSyntaxRenders) {
  AnswerForm form;
  form.syntax = GetParam();
  form.functions = functions();
  for (bool required : {false, true}) {
    form.required = required;
    const auto g = compile(form);
    for (const auto& calls : std::vector<std::vector<Call>>{
             {{"get_weather", R"({"city":"Ulm"})"}},
             {{"now", "{}"}},
             {{"get_weather", R"({"city":"a b","days":3,"sure":true})"}},
             {{"now", "{}"}, {"get_weather", R"({"city":"Ulm","sure":false})"}}}) {
      if (calls.size() > 1 && (form.syntax->name() == "llama" || form.syntax->name() == "harmony"))
        continue;
      std::vector<Call> canonical = calls;
      EXPECT_TRUE(admitted(*g, form.syntax->render(canonical)))
          << required << form.syntax->render(canonical);
    }
    for (const auto& calls :
         std::vector<std::vector<Call>>{{{"get_weather", R"({"city":5})"}},
                                        {{"other", "{}"}},
                                        {{"get_weather", "{}"}},
                                        {{"now", R"({"x":1})"}},
                                        {{"get_weather", R"({"city":"123456789"})"}}}) {
      const std::string text = form.syntax->render(calls);
      const bool raw = calls[0].arguments == R"({"city":5})" &&
                       (form.syntax->name() == "qwen-xml" || form.syntax->name() == "glm" ||
                        form.syntax->name() == "minimax");
      const bool free_text = !required && calls[0].name == "other" &&
                             form.syntax->trigger(form.functions).starts_with("^");
      if (!raw && !free_text) { EXPECT_FALSE(admitted(*g, text)) << required << text; }
    }
    EXPECT_EQ(admitted(*g, "Hello, how are you?"), !required);
    EXPECT_EQ(admitted(*g, ""), !required);
  }
}

// Random answers by the masks alone: each required one is a call whose arguments meet the schema.
TEST_P(AnswerForms, RandomWalksAreCalls) {
  AnswerForm form;
  form.syntax = GetParam();
  form.functions = functions();
  form.required = true;
  form.parallel = false;
  const auto g = compile(form);
  for (uint64_t seed = 0; seed < 30; ++seed) {
    grammar::Matcher at = g->start(false);
    std::string text;
    for (uint64_t i = 0; i < 2000; ++i) {
      const auto mask = g->mask(at);
      std::vector<int32_t> all;
      for (int32_t id = 1; id < tokenizer().vocabulary(); ++id)
        if (grammar::admits(*mask, id)) all.push_back(id);
      if (g->complete(at) && (all.empty() || i > 20)) break;
      ASSERT_FALSE(all.empty()) << text;
      const int32_t id = all[random_at(seed, i) % all.size()];
      ASSERT_TRUE(g->advance(at, id));
      text += tokenizer().piece(id, false);
    }
    ASSERT_TRUE(g->complete(at)) << text;
    const Read got = read(form, text, text.size());
    EXPECT_EQ(got.text, "") << text;
    ASSERT_EQ(got.calls.size(), 1u) << text;
    const auto arguments = parse_json(got.calls[0].arguments, 64);
    ASSERT_TRUE(arguments.ok() && arguments->is_object())
        << text << " -> " << got.calls[0].arguments;
    if (got.calls[0].name == "now") {
      EXPECT_TRUE(arguments->get_object().empty());
      continue;
    }
    EXPECT_TRUE(arguments->at("city").is_string()) << text;
    for (const auto& [name, value] : arguments->get_object()) {
      const std::string key(name);
      EXPECT_TRUE(key == "city" || (key == "days" && value.is_int64()) ||
                  (key == "sure" && value.is_bool()))
          << text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, AnswerForms, ::testing::ValuesIn(all_syntaxes()),
                         [](const auto& info) {
                           std::string name;
                           for (char c : info.param->name()) name += c == '-' || c == '.' ? '_' : c;
                           return name;
                         });

TEST(AnswerThoughts, AreSplitAtEveryCut) {
  for (const auto& [tmpl, inside, text, reasoning, said] :
       std::vector<std::tuple<const char*, bool, const char*, const char*, const char*>>{
           {"<think>", false, "<think>\nhm <b> a\n\nb\n</think>\n\nHello.\n", "hm <b> a\n\nb",
            "Hello.\n"},
           {"<think>", true, "hm\n</think>\n\nHello.", "hm", "Hello."},
           {"<think>", true, "hm </thin", "hm </thin", ""},
           {"<think>", false, "Hello <think> you", "", "Hello <think> you"},
           {"<think>", false, "  Hello", "", "  Hello"},
           {"[THINK]", false, "[THINK]a[/THINK]b", "a", "b"},
           {"<|START_THINKING|>", false,
            "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b", "a", "b"},
           {"<|START_THINKING|>", false, "<|START_RESPONSE|>b", "", "b"},
           {"Here is my thought process: Here is my response:", false,
            "Here is my thought process:\n\na\n\nHere is my response:\n\nb", "a", "b"},
           {"Here is my thought process: Here is my response:", false, "Here is my dog.", "",
            "Here is my dog."},
           {"<|channel>thought", false, "<|channel>thought\na<channel|>b", "a", "b"},
           {"<|channel|> analysis", false,
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            "a", "b"},
           {"<|channel|> analysis", false, "<|channel|>final<|message|>b", "", "b"}}) {
    AnswerForm form;
    form.thought = find_thought(tmpl);
    ASSERT_TRUE(form.thought);
    form.inside = inside;
    for (size_t cut = 0; cut <= std::string_view(text).size(); ++cut) {
      const Read got = read(form, text, cut);
      EXPECT_EQ(got.reasoning, reasoning) << text << " cut at " << cut;
      EXPECT_EQ(got.text, said) << text << " cut at " << cut;
    }
  }
}

TEST(AnswerThoughts, ComeBeforeWhatIsRequired) {
  AnswerForm form;
  form.thought = find_thought("<think>");
  form.syntax = &generic_syntax();
  form.functions = functions();
  form.required = true;
  auto g = compile(form);
  const std::string call = form.syntax->render(std::vector<Call>{{"now", "{}"}});
  EXPECT_TRUE(admitted(*g, call));
  EXPECT_TRUE(admitted(*g, "<think>\nhm {\n</think>\n\n" + call));
  EXPECT_FALSE(admitted(*g, "<think>\nhm")) << "no end inside the thought";
  EXPECT_FALSE(admitted(*g, "<think>\nhm</think>Well")) << "no text behind it";
  const Read got = read(form, "<think>\nhm {\n</think>\n\n" + call, 9);
  EXPECT_EQ(got.reasoning, "hm {");
  EXPECT_EQ(got.text, "");
  EXPECT_EQ(got.calls.size(), 1u);
  form.inside = true;
  g = compile(form);
  EXPECT_TRUE(admitted(*g, "hm</think>" + call));
  EXPECT_FALSE(admitted(*g, "hm"));
  form.required = false;
  EXPECT_TRUE(admitted(*compile(form), "hm")) << "a thought may be all that there is";
  // A schema.
  AnswerForm json;
  json.thought = form.thought;
  json.body = grammar::EnvelopePart{grammar::EnvelopePart::Kind::Value, R"({"type":"integer"})"};
  g = compile(json);
  EXPECT_TRUE(admitted(*g, "<think>x</think>\n\n12"));
  EXPECT_TRUE(admitted(*g, "12"));
  EXPECT_FALSE(admitted(*g, "<think>x"));
  EXPECT_FALSE(admitted(*g, "<think>x</think>a"));
}

TEST(AnswerThoughts, AreToldFromThePrompt) {
  const Thought& t = *find_thought("<think>");
  EXPECT_TRUE(begins_inside(t, "<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(begins_inside(t, "<|im_start|>assistant\n"));
  EXPECT_TRUE(is_closed(t, "<|im_start|>assistant\n<think>\n\n</think>\n\n"));
}

TEST(AnswerCalls, OnlyOneWhereNotParallel) {
  AnswerForm form;
  form.syntax = &generic_syntax();
  form.functions = functions();
  const std::string one = form.syntax->render(std::vector<Call>{{"now", "{}"}});
  for (bool required : {false, true}) {
    form.required = required;
    form.parallel = true;
    EXPECT_TRUE(admitted(*compile(form), one + "\n" + one));
    form.parallel = false;
    EXPECT_TRUE(admitted(*compile(form), one));
    EXPECT_FALSE(admitted(*compile(form), one + "\n" + one));
  }
}

TEST(AnswerCalls, OrWhatASchemaAdmits) {
  for (const Syntax* syntax : all_syntaxes()) {
    AnswerForm form;
    form.syntax = syntax;
    form.functions = functions();
    form.body = grammar::EnvelopePart{
        grammar::EnvelopePart::Kind::Value,
        R"({"type":"object","properties":{"answer":{"type":"integer"}},"required":["answer"],"additionalProperties":false})"};
    const auto g = compile(form);
    const std::string call =
        syntax->render(std::vector<Call>{{"get_weather", R"({"city":"Ulm"})"}});
    EXPECT_TRUE(admitted(*g, call)) << call;
    EXPECT_TRUE(admitted(*g, "{\"answer\": 5}")) << syntax->name();
    EXPECT_FALSE(admitted(*g, "{\"answer\": true}")) << syntax->name();
    EXPECT_FALSE(admitted(*g, "Hello")) << syntax->name();
    EXPECT_EQ(read(form, "{\"answer\": 5}", 3).text, "{\"answer\": 5}") << syntax->name();
    form.required = true;
    EXPECT_FALSE(admitted(*compile(form), "{\"answer\": 5}")) << syntax->name();
  }
}

TEST(AnswerCalls, WhatASchemaAdmitsIsNoCall) {
  for (const Syntax* syntax : all_syntaxes()) {
    AnswerForm form;
    form.syntax = syntax;
    form.functions = functions();
    if (syntax->trigger(form.functions).starts_with("^")) continue;  // a call has no mark there
    form.body =
        grammar::EnvelopePart{grammar::EnvelopePart::Kind::Value, R"({"type":"object"})"};
    const auto g = compile(form);
    for (const char* text : {R"({"name": "get_weather", "arguments": {"city": 5}})",
                             R"({"a": "<tool_call>", "b": "</tool_call> [TOOL_CALLS] x"})"}) {
      EXPECT_TRUE(admitted(*g, text)) << syntax->name();
      for (size_t cut = 0; cut < std::string_view(text).size(); ++cut) {
        EXPECT_EQ(read(form, text, cut).text, text) << syntax->name() << cut;
        EXPECT_TRUE(read(form, text, cut).calls.empty()) << syntax->name() << cut;
      }
    }
  }
}

TEST(AnswerCalls, OfManyFunctions) {
  AnswerForm form;
  form.syntax = &generic_syntax();
  for (int i = 0; i < 500; ++i)
    form.functions.push_back(
        {fmt::format("tool_{}", i),
         fmt::format(
             R"({{"type":"object","properties":{{"n":{{"const":{}}}}},"required":["n"],"additionalProperties":false}})",
             i),
         ""});
  form.required = true;
  const auto g = compile(form);
  for (int i : {0, 77, 128, 499}) {
    EXPECT_TRUE(admitted(*g, form.syntax->render(std::vector<Call>{
                                 {fmt::format("tool_{}", i), fmt::format(R"({{"n": {}}})", i)}})));
    EXPECT_FALSE(
        admitted(*g, form.syntax->render(std::vector<Call>{
                         {fmt::format("tool_{}", i), fmt::format(R"({{"n": {}}})", i + 1)}})));
  }
}

TEST(AnswerCalls, FencedAndBareJsonAreCalls) {
  AnswerForm form;
  form.syntax = &generic_syntax();
  form.functions = functions();
  const auto g = compile(form);
  for (const char* text :
       {"```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\"}}\n```",
        "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\"}}",
        "```json\n{\n  \"name\": \"get_weather\",\n  \"arguments\": {\n    \"city\": \"Ulm\"\n  "
        "}\n}\n```"}) {
    EXPECT_TRUE(admitted(*g, text)) << text;
    for (size_t cut = 0; cut <= std::string_view(text).size(); ++cut) {
      const Read got = read(form, text, cut);
      ASSERT_EQ(got.text, "") << text << cut;
      ASSERT_EQ(got.calls.size(), 1u) << text << cut;
      EXPECT_EQ(*parse_json(got.calls[0].arguments), *parse_json("{\"city\":\"Ulm\"}"));
    }
  }
  const std::string two =
      "```json\n{\"name\": \"now\", \"arguments\": {}}\n```\n```json\n{\"name\": \"get_weather\", "
      "\"arguments\": {\"city\": \"Ulm\"}}\n```";
  EXPECT_TRUE(admitted(*g, two));
  for (size_t cut = 0; cut <= two.size(); ++cut) {
    EXPECT_EQ(read(form, two, cut).calls.size(), 2u) << cut;
    EXPECT_EQ(read(form, two, cut).text, "") << cut;
  }
  // Behind a call with marks bare JSON is text: nothing holds it to a schema.
  const std::string marked = form.syntax->render(std::vector<Call>{{"now", "{}"}}) +
                             "\n{\"name\": \"now\", \"arguments\": {}}";
  EXPECT_EQ(read(form, marked, 7).calls.size(), 1u);
  EXPECT_FALSE(admitted(*g, "{\"name\": \"get_weather\", \"arguments\": {\"city\": 5}}"));
  EXPECT_TRUE(admitted(*g, "{\"name\": \"Anna\", \"age\": 5}")) << "no function's name";
  EXPECT_EQ(read(form, "{\"name\": \"Anna\", \"age\": 5}", 3).text,
            "{\"name\": \"Anna\", \"age\": 5}");
}

// What free text may hold is never read as a call: nothing held its arguments to the schema.
TEST(AnswerCalls, ATextThatLooksLikeACallIsText) {
  const std::string wrong = R"("arguments": {"city": 5}})";
  for (const Syntax* syntax : all_syntaxes()) {
    AnswerForm form;
    form.syntax = syntax;
    form.functions = functions();
    const auto g = compile(form);
    for (const std::string head :
         {R"({"id": "1", "name": "get_weather", )", R"({"type": "tool", "name": "get_weather", )",
          R"({"name": "x", "name": "get_weather", )", R"({"name": "get_weather", "id": "1", )",
          R"({"name": "get_weather", "name": "get_weather", )",
          R"({"name": "get_weather", "type": "function", )"})
      for (const std::string& text : {head + wrong, "```json\n" + head + wrong + "\n```"}) {
        if (!admitted(*g, text)) continue;
        EXPECT_TRUE(read(form, text, 9).calls.empty()) << syntax->name() << ": " << text;
        EXPECT_EQ(read(form, text, 9).text, text) << syntax->name();
      }
    for (const char* text : {"<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": 5}",
                             "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{}",
                             "<|tool_call_begin|>functions.x:0<|tool_call_argument_begin|>{}",
                             "<|python_start|><|python_tag|>[get_weather(city=5)]"})
      if (admitted(*g, text, false)) {
        EXPECT_TRUE(read(form, text, 9).calls.empty()) << syntax->name() << ": " << text;
      }
  }
}

TEST(AnswerCalls, BehindABareCallAHalfOneIsNoText) {
  AnswerForm form;
  form.syntax = &generic_syntax();
  form.functions = functions();
  const std::string one = "{\"name\": \"now\", \"arguments\": {}}";
  for (size_t cut = 1; cut < 30; ++cut) {
    const Read got = read(form, one + "\n" + one.substr(0, cut), cut);
    EXPECT_EQ(got.text, "") << cut;
  }
}

// From its function's name on the grammar admits nothing but the call.
TEST(AnswerCalls, AHalfBareOneWithAFunctionsNameIsNoText) {
  AnswerForm form;
  form.syntax = &generic_syntax();
  form.functions = functions();
  for (const std::string before : {"", "```json\n"}) {
    const std::string named = before + "{\"name\": \"now\"",
                      whole = named + ", \"arguments\": {}}";
    for (size_t end = 1; end < whole.size(); ++end) {
      const std::string cut = whole.substr(0, end);
      EXPECT_EQ(read(form, cut, end / 2).text, end < named.size() ? cut : "") << end;
    }
  }
  for (const char* text : {"{\"name\": \"other\"", "{\"type\": \"function\"", "{\"name\": \"no"})
    EXPECT_EQ(read(form, text, 3).text, text);
}

TEST(AnswerCalls, NoPartOfARequiredOneIsText) {
  for (const char* tmpl : {"", "<think>"})
    for (const Syntax* syntax : all_syntaxes()) {
      AnswerForm form;
      form.thought = find_thought(tmpl);
      form.syntax = syntax;
      form.functions = functions();
      form.required = true;
      const std::string text =
          syntax->render(std::vector<Call>{{"get_weather", R"({"city": "Ulm"})"}});
      for (size_t end = 0; end <= text.size(); ++end)
        EXPECT_EQ(read(form, text.substr(0, end), end / 2).text, "") << syntax->name() << end;
    }
}

}  // namespace
}  // namespace verge::engine::tools
