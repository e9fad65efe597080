// Every syntax: what is rendered is read again, wherever the text is cut; nothing of a call is
// text.
#include "engine/tools/syntax.h"

#include <gtest/gtest.h>

#include "support/json.h"

namespace verge::engine::tools {
namespace {

const std::vector<Function>& functions() {
  static const std::vector<Function> all{
      {"get_weather",
       R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"exact":{"type":"boolean"},"tags":{"type":"array","items":{"type":"string"}},"more":{"type":"object"}},"required":["city"],"additionalProperties":false})",
       "/tools/0/function/parameters"},
      {"now", R"({"type":"object","properties":{},"additionalProperties":false})",
       "/tools/1/function/parameters"}};
  return all;
}

struct Read {
  std::string text;
  std::vector<Call> calls;
};

void take(const std::vector<Delta>& deltas, Read& out) {
  for (const Delta& d : deltas) {
    if (d.kind == Delta::Kind::Text) out.text += d.text;
    if (d.kind == Delta::Kind::Call) {
      EXPECT_EQ(d.index, out.calls.size());
      out.calls.push_back({d.name, ""});
    }
    if (d.kind == Delta::Kind::Arguments) {
      ASSERT_LT(d.index, out.calls.size());
      EXPECT_EQ(d.index + 1, out.calls.size()) << "calls do not interleave";
      out.calls[d.index].arguments += d.text;
    }
  }
}

Read read(const Syntax& syntax, const std::vector<std::string>& pieces) {
  Read out;
  const auto parser = syntax.parser(functions());
  for (const std::string& piece : pieces) {
    std::vector<Delta> deltas;
    parser->push(piece, deltas);
    take(deltas, out);
  }
  std::vector<Delta> deltas;
  parser->finish(deltas);
  take(deltas, out);
  return out;
}

class Syntaxes : public ::testing::TestWithParam<const Syntax*> {
 protected:
  const Syntax& syntax() const { return *GetParam(); }
  // Whether text may stand before a call.
  bool free() const { return !syntax().trigger(functions()).starts_with("^"); }
};

const std::vector<std::vector<Call>>& samples() {
  static const std::vector<std::vector<Call>> all{
      {{"get_weather", R"({"city":"Ulm"})"}},
      {{"now", "{}"}},
      {{"get_weather", R"({"city":"a \"b\" {c} [d], e\\n","days":3,"exact":true})"}},
      {{"get_weather",
        R"({"city":"Köln 日本 🙂","days":-1,"tags":["x","y, z"],"more":{"a":{"b":[1,null,"]}"]}}})"}},
      {{"get_weather", R"({"city":"Ulm"})"},
       {"now", "{}"},
       {"get_weather", R"({"city":"Bonn","exact":false})"}}};
  return all;
}

TEST_P(Syntaxes, ReadWhatTheyRenderAtEveryCut) {
  for (const std::vector<Call>& calls : samples()) {
    if (calls.size() > 1 && (syntax().name() == "llama" || syntax().name() == "harmony")) continue;
    for (const char* before : {"", "Let me see.\n"}) {
      if (*before && !free()) continue;
      const std::string text = before + syntax().render(calls);
      std::vector<std::vector<std::string>> cuts{{text}};
      for (size_t i = 1; i < text.size(); ++i) cuts.push_back({text.substr(0, i), text.substr(i)});
      cuts.emplace_back();
      for (char c : text) cuts.back().push_back(std::string(1, c));
      for (const auto& pieces : cuts) {
        const Read got = read(syntax(), pieces);
        ASSERT_EQ(got.text, *before ? "Let me see." : "") << text << " cut after " << pieces[0];
        ASSERT_EQ(got.calls.size(), calls.size()) << text << " cut after " << pieces[0];
        for (size_t i = 0; i < calls.size(); ++i) {
          ASSERT_EQ(got.calls[i].name, calls[i].name);
          const auto arguments = parse_json(got.calls[i].arguments, 128);
          ASSERT_TRUE(arguments.ok()) << got.calls[i].arguments;
          ASSERT_EQ(*arguments, *parse_json(calls[i].arguments, 128)) << text;
        }
      }
    }
  }
}

// A text that the answer's end cuts anywhere shows no mark of a call as text.
TEST_P(Syntaxes, NoPartOfACallIsTextWhereTheAnswerIsCut) {
  const std::string text = (free() ? "Well." : "") + syntax().render(samples()[2]);
  for (size_t i = 1; i <= text.size(); ++i) {
    const Read got = read(syntax(), {text.substr(0, i)});
    if (got.calls.empty() && free() && i > 5) {
      // Only what may yet become any text: the beginning of the first mark.
      EXPECT_LE(got.text.size(), i);
      continue;
    }
    if (!got.calls.empty()) { EXPECT_EQ(got.text, free() ? "Well." : "") << text.substr(0, i); }
  }
}

TEST_P(Syntaxes, PlainTextIsText) {
  for (const char* text :
       {"", "Hello.", "  indented\n\n", "if (a < b) { return [1, 2]; }", "{\"a\": 1}", "[1, 2]",
        "```json\n{\"a\": 1}\n```\n", "<tool", "{", "[", "```"}) {
    const std::string whole = text;
    EXPECT_EQ(read(syntax(), {whole}).text, whole);
    std::vector<std::string> bytes;
    for (char c : whole) bytes.push_back(std::string(1, c));
    EXPECT_EQ(read(syntax(), bytes).text, whole);
    EXPECT_TRUE(read(syntax(), bytes).calls.empty());
  }
}

TEST(FindSyntax, TellsTheFamilyFromItsTemplate) {
  for (const auto& [chat_template, name] : std::vector<std::pair<const char*, std::string_view>>{
           {"{% if tools %}<tool_call>\n{\"name\"", "hermes"},
           {"{% if tools %}<tool_call>[", "smollm"},
           {"{% for t in tools %}<tool_call>\n<function=", "qwen-xml"},
           {"{% for t in tools %}<tool_call><arg_key>", "glm"},
           {"{% if tools %}[TOOL_CALLS]", "mistral-list"},
           {"{% if tools %}[TOOL_CALLS][ARGS]", "mistral"},
           {"{% if tools %}<｜tool▁calls▁begin｜>```json", "deepseek"},
           {"{% if tools %}<｜tool▁calls▁begin｜>", "deepseek-3.1"},
           {"{% if tools %}<|tool_calls_section_begin|>", "kimi"},
           {"{% if tools %}<|channel|><|constrain|>", "harmony"},
           {"{% if tools %}<|tool_call|>", "granite"},
           {"{% if tools %}<|tool_call|><|/tool_call|>", "phi"},
           {"{% if tools %}<|start_header_id|>{\"name\": f, \"parameters\": p}", "llama"},
           {"{% if tools %}<|start_header_id|>[func_name1(a=1)]", "pythonic"},
           {"{% if tools %}<start_function_call>", "function-gemma"},
           {"{% if tools %}'｜DSML｜' 'function_calls>'", "deepseek-3.2"},
           {"{% if tools %}'｜DSML｜' 'tool_calls>'", "deepseek-4"},
           {"{% if tools %}'<minimax:tool_call>'", "minimax"},
           {"{% if tools %}<|START_ACTION|>[{\"tool_name\"", "cohere"},
           {"{% if available_tools %}<|tool_call|>", "granite"},
           {"{% if tools %}<|tool_call>call:", "gemma-4"},
           // The history's calls are written, and the functions are not shown: DeepSeek R1's.
           {"{% for c in message.tool_calls %}<｜tool▁calls▁begin｜>```json", ""},
           {"{% if tools %}something new", ""},
           {"{{ messages }}", ""}}) {
    const Syntax* found = find_syntax(chat_template);
    EXPECT_EQ(found ? found->name() : "", name) << chat_template;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Syntaxes, ::testing::ValuesIn(all_syntaxes()), [](const auto& info) {
  std::string name;
  for (char c : info.param->name()) name += c == '-' || c == '.' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace verge::engine::tools
