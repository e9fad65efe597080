// Published templates against the reference's renderings, made by scripts/render_templates.py.
#include "engine/templates/chat_template.h"
#include "tests/paths.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace verge::engine {
namespace {

std::string read(const std::string& path) {
  std::ifstream in(std::string(verge::test_data_folder()) + "/" + path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

json::object read_json(const std::string& path) {
  auto parsed = parse_json(read(path));
  EXPECT_TRUE(parsed.ok()) << path << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? parsed->get_object() : json::object();
}

ChatTemplateInputs inputs_of(const json::object& conversation) {
  ChatTemplateInputs in;
  in.messages = conversation.at("messages").get_array();
  if (const json::array* tools = get_array(conversation, "tools")) in.tools = *tools;
  in.add_generation_prompt = get_bool(conversation, "add_generation_prompt").value_or(true);
  in.bos_token = "<s>";
  in.eos_token = "</s>";
  if (const json::object* extra = get_object(conversation, "extra")) in.extra = *extra;
  in.now_unix_s = 1'721'995'200;
  return in;
}

TEST(ChatTemplate, PublishedTemplatesRenderAsTheReference) {
  json::object data = read_json("templates/expected.json");
  ASSERT_GE(data["templates"].get_object().size(), 40u);
  for (const auto& [file, cases] : data["templates"].get_object()) {
    auto compiled = ChatTemplate::compile(read("templates/" + std::string(file)));
    ASSERT_TRUE(compiled.ok()) << file << ": " << compiled.error().message;
    for (const auto& [name, outcome] : cases.get_object()) {
      auto got = (*compiled)->render(inputs_of(data["inputs"].get_object().at(name).get_object()));
      const json::object& want = outcome.get_object();
      std::string which = std::string(file) + " / " + std::string(name);
      if (const json::value* text = want.if_contains("text")) {
        EXPECT_TRUE(got.ok()) << which << ": " << (got.ok() ? "" : got.error().message);
        if (!got.ok()) continue;
        EXPECT_EQ(got->text, std::string_view(text->get_string())) << which;
        continue;
      }
      EXPECT_FALSE(got.ok()) << which << " gives:\n"
                             << (got.ok() ? got->text : "")
                             << "\nexpected: " << json::serialize(want);
      if (got.ok()) continue;
      EXPECT_EQ(got.error().code, Code::InvalidInput) << which;
      if (const json::value* raised = want.if_contains("raised")) {
        EXPECT_EQ(got.error().message, std::string_view(raised->get_string())) << which;
      }
      if (const json::value* undefined = want.if_contains("undefined")) {
        EXPECT_NE(got.error().message.find(std::string_view(undefined->get_string())), std::string::npos) << which << ": " << got.error().message;
      }
    }
  }
}

TEST(ChatTemplate, RealModelsPromptsAreExact) {
  for (std::string model : {"smollm2-135m", "qwen2.5-coder-0.5b"}) {
    auto compiled = ChatTemplate::compile(read("templates/" + model + ".jinja"));
    ASSERT_TRUE(compiled.ok()) << compiled.error().message;
    json::object expected = read_json("expected/" + model + ".json");
    ASSERT_GE(expected["chat_template"].get_array().size(), 4u);
    for (const json::value& item : expected["chat_template"].get_array()) {
      ChatTemplateInputs in;
      in.messages = item.at("messages").get_array();
      auto got = (*compiled)->render(in);
      if (item.get_object().contains("error")) {  // Qwen's looks at messages[0] of an empty list
        ASSERT_FALSE(got.ok());
        EXPECT_NE(got.error().message.find("list object has no element 0"), std::string::npos) << got.error().message;
        continue;
      }
      ASSERT_TRUE(got.ok()) << got.error().message;
      EXPECT_EQ(got->text, std::string_view(item.at("prompt").get_string()));
    }
  }
}

TEST(ChatTemplate, OneTemplateRendersAtOnceWithoutSharingState) {
  auto compiled = ChatTemplate::compile("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{{ bos_token }}");
  ASSERT_TRUE(compiled.ok());
  ChatTemplateInputs in;
  in.bos_token = "<s>";
  in.messages = {{{"role", "user"}, {"content", "a"}}};
  EXPECT_EQ((*compiled)->render(in)->text, "1<s>");
  EXPECT_EQ((*compiled)->render(in)->text, "1<s>");
}

TEST(ChatTemplate, ExtraVariablesWin) {
  auto compiled = ChatTemplate::compile("{{ bos_token }}{{ tools is defined }}{{ thinking }}");
  ASSERT_TRUE(compiled.ok());
  ChatTemplateInputs in;
  in.bos_token = "<s>";
  in.extra = {{"bos_token", "<b>"}, {"thinking", true}};
  EXPECT_EQ((*compiled)->render(in)->text, "<b>FalseTrue");
}

TEST(ChatTemplate, LongChatsStayWithinTheLimits) {
  std::string source = read("templates/Qwen-Qwen3-0.6B.jinja");
  auto compiled = ChatTemplate::compile(source);
  ASSERT_TRUE(compiled.ok());
  ChatTemplateInputs in;
  for (int i = 0; i < 1000; ++i) in.messages.push_back({{"role", i % 2 ? "assistant" : "user"}, {"content", std::string(4000, 'x')}});
  auto got = (*compiled)->render(in);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_GT(got->size(), 4'000'000u);
}

TEST(ChatTemplate, SourceThatIsTooLongIsRefused) {
  auto compiled = ChatTemplate::compile(std::string((1 << 20) + 1, 'x'));
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().code, Code::LoadFailed);
}

}  // namespace
}  // namespace verge::engine
