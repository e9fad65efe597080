// Syntaxes of calls beside the templates that models are published with.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "engine/templates/chat_template.h"
#include "engine/tools/syntax.h"
#include "support/json.h"
#include "tests/paths.h"

namespace verge::engine::tools {
namespace {

std::vector<Call> read(const Syntax& syntax, const std::string& text) {
  const std::vector<Function> functions{
      {"get_weather",
       R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"exact":{"type":"boolean"}}})",
       ""},
      {"now", R"({"type":"object"})", ""}};
  const auto parser = syntax.parser(functions);
  std::vector<Delta> deltas;
  parser->push(text, deltas);
  parser->finish(deltas);
  std::vector<Call> out;
  for (const Delta& delta : deltas) {
    if (delta.kind == Delta::Kind::Call) out.push_back({delta.name, ""});
    if (delta.kind == Delta::Kind::Arguments) out.back().arguments += delta.text;
  }
  return out;
}

// A history as the published template writes it is read as the calls that it holds.
TEST(ToolTemplates, PublishedTemplatesWriteWhatIsRead) {
  for (const auto& [file, name] : std::vector<std::pair<std::string, std::string_view>>{
           {"deepseek-ai-DeepSeek-V3.2", "deepseek-3.2"},
           {"deepseek-ai-DeepSeek-V4", "deepseek-4"},
           {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "cohere"},
           {"Cohere2MoE", "cohere"}}) {
    std::ifstream in(fmt::format("{}/templates/{}.jinja", test_data_folder(), file));
    const std::string source((std::istreambuf_iterator<char>(in)), {});
    const Syntax* syntax = find_syntax(source);
    ASSERT_TRUE(syntax) << file;
    EXPECT_EQ(syntax->name(), name);
    const std::vector<Call> calls{{"get_weather", R"({"city":"Ulm","days":3})"},
                                  {"now", "{}"},
                                  {"get_weather", R"({"city":"Köln <b>","exact":false})"}};
    json::array list;
    for (const Call& call : calls)
      list.push_back(json::object{
          {"id", "call_" + std::to_string(list.size())},
          {"type", "function"},
          {"function",
           json::object{{"name", call.name}, {"arguments", *parse_json(call.arguments)}}}});
    ChatTemplateInputs inputs;
    inputs.messages = {json::object{{"role", "user"}, {"content", "hi"}},
                       json::object{{"role", "assistant"},
                                    {"content", ""},
                                    {"reasoning_content", ""},
                                    {"tool_calls", std::move(list)}}};
    inputs.add_generation_prompt = false;
    auto compiled = ChatTemplate::compile(source);
    ASSERT_TRUE(compiled.ok()) << file;
    const auto prompt = (*compiled)->render(inputs);
    ASSERT_TRUE(prompt.ok()) << file << prompt.error().message;
    const std::vector<Call> got = read(*syntax, prompt->text);
    EXPECT_EQ(got.size(), calls.size()) << prompt->text;
    for (size_t i = 0; i < std::min(got.size(), calls.size()); ++i) {
      EXPECT_EQ(got[i].name, calls[i].name);
      EXPECT_EQ(*parse_json(got[i].arguments), *parse_json(calls[i].arguments)) << prompt->text;
    }
    if (name != "cohere") {  // its lists have other white space
      EXPECT_NE(prompt->text.find(syntax->render(calls)), std::string::npos) << prompt->text;
    }
  }
}

}  // namespace
}  // namespace verge::engine::tools
